"""The one Jinja2 environment, and how an error looks: a page under /ui, a problem document everywhere else."""

import hashlib
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import Headers
from starlette.responses import Response

from api.problems import Problem, problem_response
from api.web import ansi, format, words

WEB = Path(__file__).resolve().parent
STATIC = WEB / "static"


@lru_cache(maxsize=64)
def _digest(path: Path, modified: float) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def static_url(name: str) -> str:
    """Address of a static file with its content hash, so that a new version is loaded at once."""
    path = STATIC / name
    return f"/ui/static/{name}?v={_digest(path, path.stat().st_mtime)}" if path.is_file() else f"/ui/static/{name}"


def has_static(name: str) -> bool:
    """Whether a file that `make setup` fetches is there."""
    return (STATIC / name).is_file()


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(WEB / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(static_url=static_url, has_static=has_static, words=words)
    environment.filters.update(
        duration=format.duration,
        count=format.count,
        money=format.money,
        size=format.size,
        clock=format.clock,
        ago=format.ago,
        short_id=format.short_id,
        ticks=format.ticks,
        ansi=ansi.ansi_html,
    )
    return environment


ENVIRONMENT = _environment()
_NOBODY: dict[str, Any] = {"principal": None, "csrf_token": None}


def render(template: str, context: Mapping[str, Any]) -> str:
    return ENVIRONMENT.get_template(template).render(
        {"now": datetime.now(UTC), "principal": None, "csrf_token": None, **context}
    )


def page(
    template: str, context: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    return HTMLResponse(render(template, context), status_code=status, headers=dict(headers or {}))


def error_response(
    scope: MutableMapping[str, Any], problem: Problem, headers: dict[str, str] | None = None
) -> Response:
    """A person under /ui gets a page that says the same as the problem document, or is sent to sign in."""
    if scope["path"].startswith("/ui"):
        if problem.status == 401:
            return _to_login(Headers(scope=scope), scope["path"])
        return page("error.html", {"problem": problem}, status=problem.status, headers=headers)
    return problem_response(problem, headers)


def _to_login(headers: Headers, path: str) -> Response:
    """A part of a page that is swapped in must not become the sign-in page: the whole page is loaded anew."""
    if "hx-request" in headers or headers.get("accept", "").startswith("text/event-stream"):
        return Response(status_code=401, headers={"HX-Refresh": "true"})
    return RedirectResponse(f"/ui/login?{urlencode({'next': path})}", status_code=303)
