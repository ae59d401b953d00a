"""The outermost layer of ours: host check, body size, security headers, one log line, no bare 500.

Pure ASGI, so that event streams pass through it unbuffered.
"""

import time
from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem, make_problem
from api.security.headers import NO_STORE, SECURITY_HEADERS
from api.security.hosts import refuse_host
from api.web.render import error_response

log = structlog.get_logger("api")


class Boundary:
    """Wraps the whole application; what it refuses never reaches a route."""

    def __init__(self, app: ASGIApp, *, host_names: frozenset[str], max_body_bytes: int) -> None:
        self.app = app
        self.host_names = host_names
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message)
            await send(message)

        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body_bytes:
                raise HTTPException(413)
            return message

        refused = self._refuse(Headers(scope=scope))
        try:
            if refused is not None:
                await error_response(scope, refused)(scope, receive, send_with_headers)
            else:
                await self.app(scope, receive_limited, send_with_headers)
        except Exception as error:
            log.exception("request_failed", method=scope["method"], path=scope["path"], error_kind=type(error).__name__)
            if status:
                raise
            problem = make_problem(
                500,
                "Something in the server failed; it is in the API's log.",
                hint="Try again; if it stays, report it.",
            )
            await error_response(scope, problem)(scope, receive, send_with_headers)
        finally:
            log.info(
                "request",
                method=scope["method"],
                route=_route_of(scope),
                status=status,
                duration_seconds=round(time.perf_counter() - began, 4),
            )

    def _refuse(self, headers: Headers) -> Problem | None:
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self.max_body_bytes:
            return body_too_large(self.max_body_bytes)
        return refuse_host(headers, self.host_names)


def body_too_large(limit: int) -> Problem:
    return make_problem(
        413,
        f"The body is larger than {limit:,} bytes.",
        hint="Put long text into a file of the repository and name it.",
    )


def _route_of(scope: MutableMapping[str, Any]) -> str:
    """The route's template, never the path: paths carry ids and could carry anything."""
    return getattr(scope.get("route"), "path", "unmatched")


def _add_headers(message: Message) -> None:
    headers: list[tuple[bytes, bytes]] = list(message.get("headers", []))
    names = {name.lower() for name, _ in headers}
    headers.extend(pair for pair in (*SECURITY_HEADERS, NO_STORE) if pair[0] not in names)
    message["headers"] = headers
