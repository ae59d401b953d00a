"""Maps every error that can leave a route to one problem document (or error page)."""

from http import HTTPStatus

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.boundary import body_too_large
from api.problems import FieldProblem, Problem, ProblemError, make_problem, problem_of
from api.web.render import error_response
from domain.errors import MillwrightError

log = structlog.get_logger("api")

DATABASE_DOWN = make_problem(
    503,
    "PostgreSQL does not answer.",
    hint="Start it (`millwright up` for the local stack), or correct DATABASE_URL; then try again.",
)


SEE_OPENAPI = "GET /api/v1/openapi.json says what each field takes."
HINT_OF = {
    "json_invalid": 'Send one JSON object, for example {"task": "Fix the date parser", "repo": "/home/me/project"}.',
    "missing": "Add it. " + SEE_OPENAPI,
    "extra_forbidden": "Take it out. " + SEE_OPENAPI,
    "uuid_parsing": "Give a whole id; GET /runs lists those of runs.",
}
"""By pydantic's name of the first problem; SEE_OPENAPI for others."""


def field_name(location: tuple[int | str, ...]) -> str:
    """`("body", "task", "change")` -> `task.change`; the part of the request is no part of the name."""
    parts = [str(part) for part in location if part not in ("query", "path", "body", "header", "cookie")]
    return ".".join(parts) or "body"


def validation_problem(error: RequestValidationError) -> Problem:
    """Names each field; the value given is not repeated (it may be a secret)."""
    found = error.errors()
    if found and found[0]["type"] == "json_invalid":
        told = f"The body is not JSON: {found[0]['ctx']['error']} (at character {found[0]['loc'][-1]})."
        return make_problem(422, told, hint=HINT_OF["json_invalid"], field="body")
    wrong = [FieldProblem(field=field_name(e["loc"]), message=_message(e["msg"])) for e in found]
    detail = "; ".join(f"`{each.field}`: {each.message}" for each in wrong)
    hint = HINT_OF.get(found[0]["type"], SEE_OPENAPI) if found else SEE_OPENAPI
    return make_problem(422, detail, hint=hint, field=wrong[0].field if wrong else None, errors=wrong)


def _message(text: str) -> str:
    return text.removeprefix("Value error, ")


def http_problem(error: HTTPException, request: Request) -> Problem:
    """What the framework itself refuses: unknown address, wrong method, unreadable or too large body."""
    path = request.url.path
    if error.status_code == HTTPStatus.NOT_FOUND:
        return make_problem(
            404, f"There is nothing at `{path[:200]}`.", hint="GET /api/v1/openapi.json lists every address."
        )
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "another method")
        return make_problem(405, f"`{request.method}` is not possible at `{path[:200]}`.", hint=f"Use {allowed}.")
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return body_too_large(request.app.state.deps.settings.max_body_bytes)
    return make_problem(error.status_code, str(error.detail), hint=SEE_OPENAPI)


def install(app: FastAPI) -> None:
    """Registers the handlers; whatever is left becomes a 500 in `api.boundary`."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, MillwrightError)
        return error_response(request.scope, problem_of(error))

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        return error_response(request.scope, error.problem, error.headers)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return error_response(request.scope, validation_problem(error))

    async def framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return error_response(request.scope, http_problem(error, request), dict(error.headers or {}))

    async def database(request: Request, error: Exception) -> Response:
        log.warning("postgresql_unavailable", error_kind=type(error).__name__)
        return error_response(request.scope, DATABASE_DOWN, {"Retry-After": "5"})

    app.add_exception_handler(MillwrightError, ours)
    app.add_exception_handler(ProblemError, of_http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(psycopg.OperationalError, database)
