"""The gateway's endpoint as an ASGI application: who asks, what for, and its way back. Nothing here calls a model."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import structlog

from adapters.gateway.incoming import Receive, Route, body_of, format_of, headers_of, read_request, route, token_of
from adapters.gateway.listing import models
from adapters.gateway.outgoing import Outgoing, Send
from domain.base import Frozen
from domain.errors import Unavailable
from domain.gateway.wire import WireClient, WireClients, WireResponse
from domain.models.messages import CallRefused
from domain.runs.failure import ErrorKind, PhaseError

log = structlog.get_logger("millwright.gateway")


class GatewayLimits(Frozen):
    body_bytes: int = 32 * 1024 * 1024
    """As Anthropic's own limit."""
    body_seconds: float = 60.0
    calls: int = 512
    """At the same time, of all clients together; the policy's limits are held on the path."""


class GatewayApp:
    def __init__(self, clients: WireClients, limits: GatewayLimits | None = None) -> None:
        self._clients = clients
        self._limits = limits or GatewayLimits()
        self._calls = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        format = format_of(scope["path"])
        answer = Outgoing(send, format)
        if scope["method"] == "HEAD":  # clients look whether anybody is there, before they show a token
            await answer.respond(WireResponse(status=200))
            return
        try:
            await self._serve(scope, receive, answer)
        except CallRefused as refused:
            log.info("gateway.refused", path=scope["path"], kind=refused.error.kind.value)
            await answer.fail(refused.error)
        except Unavailable as error:
            log.warning("gateway.unavailable", path=scope["path"], problem=error.message)
            await answer.fail(PhaseError(kind=ErrorKind.STORAGE, message=error.message, hint=error.hint))
        except Exception:  # the boundary of a request: told with its trace, and to the client without it
            log.exception("gateway.failed", path=scope["path"])
            await answer.fail(PhaseError(kind=ErrorKind.INTERNAL, message="The gateway failed; its log says why."))

    async def _serve(self, scope: MutableMapping[str, Any], receive: Receive, answer: Outgoing) -> None:
        headers = headers_of(scope)
        client = self._clients.client(token_of(headers))
        if client is None:
            raise _refused(
                ErrorKind.AUTHENTICATION,
                "This token is not, or no longer, valid.",
                "A token is for one execution, and ends with it.",
            )
        found = route(scope["method"], scope["path"])
        if found is None:
            message = f"{scope['method']} {scope['path']} is not served."
            raise _refused(ErrorKind.NOT_FOUND, message, "docs/gateway.md lists what is.")
        if found.models:
            await answer.respond(models(client, found))
            return
        if self._calls >= self._limits.calls:
            error = PhaseError(
                kind=ErrorKind.RATE_LIMITED, message="Too many calls at the same time.", retry_after_seconds=1
            )
            raise CallRefused(error)
        self._calls += 1
        try:
            await self._call(client, found, scope, receive, answer)
        finally:
            self._calls -= 1

    async def _call(
        self, client: WireClient, found: Route, scope: MutableMapping[str, Any], receive: Receive, answer: Outgoing
    ) -> None:
        headers = headers_of(scope)
        body = await body_of(receive, headers, most_bytes=self._limits.body_bytes, seconds=self._limits.body_seconds)
        asked = read_request(found, scope, headers, body)
        call = asyncio.ensure_future(client.ask(asked, answer))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({call, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                log.info("gateway.client_gone", path=scope["path"])
                return
            await call
            await answer.finish()
        finally:
            gone.cancel()
            call.cancel()
            await asyncio.wait({call, gone})
            if not call.cancelled():
                call.exception()  # seen: where the client has gone nobody is left to be told


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _refused(kind: ErrorKind, message: str, hint: str) -> CallRefused:
    return CallRefused(PhaseError(kind=kind, message=message, hint=hint))
