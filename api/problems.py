"""RFC 9457 problem documents: the one shape of every error that the API gives back."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from domain.errors import Conflict, Forbidden, InvalidInput, MillwrightError, NotFound, Unavailable

PROBLEM_MEDIA_TYPE = "application/problem+json"


class FieldProblem(BaseModel):
    """One part of the request that is wrong."""

    field: str
    message: str


class Problem(BaseModel):
    """What went wrong, which part, and what to do about it (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:millwright:problem:invalid-input",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "`limit`: Input should be less than or equal to 200",
                    "field": "limit",
                    "hint": "GET /api/v1/openapi.json says what each field takes.",
                    "errors": [{"field": "limit", "message": "Input should be less than or equal to 200"}],
                }
            ]
        }
    )

    type: str = Field(default="about:blank", description="Names the kind of problem; docs/api.md lists them.")
    title: str
    status: int
    detail: str = ""
    hint: str = Field(default="", description="What to do about it.")
    field: str | None = Field(default=None, description="The part of the request that is wrong, if one is.")
    errors: Sequence[FieldProblem] = ()


STATUS_OF: dict[type[MillwrightError], HTTPStatus] = {
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Forbidden: HTTPStatus.FORBIDDEN,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

KIND_OF: dict[int, str] = {
    400: "bad-request",
    401: "not-signed-in",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    413: "body-too-large",
    421: "unknown-host",
    422: "invalid-input",
    429: "too-many-requests",
    500: "internal",
    503: "unavailable",
}

MEANING_OF: dict[int, str] = {
    400: "The request could not be read.",
    401: "No valid API key or session came with the request.",
    403: "The caller's role or the organization's policy does not allow this, or the CSRF token is missing or wrong.",
    404: "It does not exist, or not for this organization.",
    409: "Right in itself, but not in the present state, or this Idempotency-Key came with another body.",
    413: "The body is larger than the limit.",
    422: "A value is wrong; `field` and `errors` say which.",
    429: "Too many tries; the Retry-After header says when to come again.",
    503: "PostgreSQL or Temporal does not answer; `hint` says what to do.",
}


class ProblemError(Exception):
    """A problem that belongs to HTTP itself (no session, wrong host, too many tries)."""

    def __init__(self, problem: Problem, headers: dict[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = headers or {}


def make_problem(
    status: int, detail: str, *, hint: str = "", field: str | None = None, errors: Sequence[FieldProblem] = ()
) -> Problem:
    return Problem(
        type=f"urn:millwright:problem:{KIND_OF.get(status, 'error')}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        hint=hint,
        field=field,
        errors=errors,
    )


def problem_of(error: MillwrightError) -> Problem:
    status = next(
        (code for kind, code in STATUS_OF.items() if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
    )
    errors = [FieldProblem(field=error.field, message=error.message)] if error.field else []
    return make_problem(int(status), error.message, hint=error.hint, field=error.field, errors=errors)


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        problem.model_dump(mode="json"), status_code=problem.status, media_type=PROBLEM_MEDIA_TYPE, headers=headers
    )


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route: 401 and 503 can always happen; `statuses` are its own."""
    return {
        status: {
            "description": MEANING_OF[status],
            "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({401, 503, *statuses})
    }
