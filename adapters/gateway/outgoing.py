"""The response to one client over ASGI: WireAnswer, and its end when the call is in the record, or has failed."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from adapters.gateway.errors import failure, failure_event
from adapters.gateway.headers import Headers
from domain.gateway.wire import WireFormat, WireResponse
from domain.runs.failure import PhaseError

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Outgoing:
    def __init__(self, send: Send, format: WireFormat) -> None:
        self._send = send
        self._format = format
        self._begun = False
        self._held: list[bytes] = []
        self._whole: WireResponse | None = None
        self._failure: WireResponse | None = None
        self._told = False

    async def begin(self, status: int, headers: Headers) -> None:
        self._begun = True
        await self._head(status, headers)

    async def send(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    def hold(self, data: bytes) -> None:
        self._held.append(data)

    def hold_whole(self, status: int, headers: Headers, body: bytes) -> None:
        self._whole = WireResponse(status=status, headers=headers, body=body)

    def failed(self, failure: WireResponse) -> None:
        self._failure = failure

    def told_failure(self) -> None:
        self._told = True

    async def finish(self) -> None:
        """The call is recorded: what was held goes out."""
        if self._whole is not None:
            await self.respond(self._whole)
        else:
            await self._last(b"".join(self._held))

    async def fail(self, error: PhaseError) -> None:
        """The provider's own words where there are any, else ours; as an event where the stream has begun. What was
        held stays away: the end of an answer that is not in the record is none."""
        if not self._begun:
            await self.respond(self._failure or failure(self._format, error))
        elif self._told:
            await self._last(b"".join(self._held))
        else:
            await self._last(failure_event(self._format, error))

    async def respond(self, whole: WireResponse) -> None:
        self._begun = True
        await self._head(whole.status, (*whole.headers, ("content-length", str(len(whole.body)))))
        await self._last(whole.body)

    async def _head(self, status: int, headers: Headers) -> None:
        raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def _last(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": False})
