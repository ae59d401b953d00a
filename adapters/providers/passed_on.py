"""A client's call passed on unchanged, but for credential and model, to a provider that speaks its format.

The answer goes to the client while it is read along: usage, text and tool calls for the record. The stream's last
event is held until the record has the call.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal

import httpx2

from adapters.gateway.formats import FORMATS
from adapters.gateway.headers import Headers, to_client, to_provider
from adapters.gateway.hiding import KeyHidden, usage_hidden
from adapters.gateway.json_edit import Member, members, with_values
from adapters.gateway.reading import obj
from adapters.gateway.sse import Events
from adapters.gateway.translated import turn_of
from adapters.gateway.untranslatable import invalid_request
from adapters.providers.credentials import credential
from adapters.providers.openai_compatible import ITERATION_HEADER, ROLE_HEADER, TURN_HEADER, header_text
from adapters.providers.upstreams import Upstream
from adapters.providers.wire import Exchange
from adapters.providers.wire_errors import FOREIGN, from_exception, from_response
from domain.gateway.wire import WireAnswer, WireFormat, WireRequest, WireResponse
from domain.models.messages import CallRefused, ModelReply, ModelRequest, TokenUsage
from domain.models.policy import ProviderSettings
from domain.redaction import Redactor
from domain.runs.failure import ErrorKind, PhaseError
from domain.secrets import SecretResolver

_CONNECT_SECONDS = 10.0
_SILENT_SECONDS = 600.0
"""Between two reads: a reasoning model may think for minutes before it says anything."""
_LONGEST_BODY = 64 * 1024 * 1024
_LONGEST_ERROR = 1024 * 1024
_AFTER_THE_END_SECONDS = 2.0
"""What a provider gets to close its stream after the last event."""


class PassedOn:
    """One call, once."""

    def __init__(
        self,
        asked: WireRequest,
        answer: WireAnswer,
        *,
        client: httpx2.AsyncClient,
        secrets: SecretResolver,
        redactor: Redactor,
    ) -> None:
        self._asked = asked
        self._answer = answer
        self._client = client
        self._secrets = secrets
        self._redactor = redactor
        self._meter = FORMATS[asked.format].meter()
        self._usage_unasked = False
        """A chat stream is asked for usage that the client did not ask for, and must not see."""

    async def call(self, request: ModelRequest, settings: ProviderSettings, to: Upstream) -> ModelReply:
        what = f"{settings.name}:{request.model}"
        key = None if settings.credential is None else credential(self._secrets, settings.credential, what)
        seen = Exchange(headers={})
        try:
            await self._exchanged(self._outgoing(request, to, key), key, what, seen)
        except FOREIGN as error:
            refused = from_exception(error, what, seen)
        else:
            return self._counted(self._meter.reply())
        # What had been told of usage before the connection broke counts; the rest stays unknown.
        paid = refused.reply or (self._meter.reply() if refused.maybe_billed else None)
        raise CallRefused(refused.error, maybe_billed=refused.maybe_billed, reply=paid)

    def _outgoing(self, request: ModelRequest, to: Upstream, key: str | None) -> httpx2.Request:
        text, found = _read_body(self._asked.body)
        told = {member.name: member.value for member in found}
        changed: dict[str, object] = {"model": request.model}
        if self._asked.format is WireFormat.OPENAI_CHAT and self._asked.stream:
            options = obj(told.get("stream_options"))
            self._usage_unasked = options.get("include_usage") is not True
            if self._usage_unasked:
                changed["stream_options"] = options | {"include_usage": True}
        ours: Headers = (("accept-encoding", "identity"),)
        if to.tells_role:
            role, iteration = (ROLE_HEADER, header_text(request.role)), (ITERATION_HEADER, str(request.iteration))
            ours = (*ours, role, iteration, (TURN_HEADER, str(turn_of(told))))
        return httpx2.Request(
            "POST",
            to.url(self._asked.operation, self._asked.query),
            headers=[*to_provider(self._asked.headers), *ours, *to.headers(key, self._asked.headers)],
            content=with_values(text, found, changed).encode(),
            extensions={"timeout": httpx2.Timeout(_SILENT_SECONDS, connect=_CONNECT_SECONDS).as_dict()},
        )

    async def _exchanged(self, outgoing: httpx2.Request, key: str | None, what: str, seen: Exchange) -> None:
        response = await self._client.send(outgoing, stream=True)
        try:
            told = [(name.lower(), value) for name, value in response.headers.items()]
            seen.status, seen.response_headers = response.status_code, dict(told)
            headers = to_client(tuple((name, self._redactor.redact_known(value)) for name, value in told))
            if response.status_code >= 300:
                raise await self._refused(response, headers, what, seen)
            if "text/event-stream" in seen.response_headers.get("content-type", ""):
                await self._answer.begin(response.status_code, headers)
                await self._streamed(response, KeyHidden(key), what)
            else:
                await self._whole(response, headers, KeyHidden(key), what, seen)
        finally:
            await response.aclose()

    async def _streamed(self, response: httpx2.Response, hidden: KeyHidden, what: str) -> None:
        meter, answer, events = self._meter, self._answer, Events()
        pieces = response.aiter_bytes()
        async for piece in pieces:
            try:
                whole = events.feed(piece)
            except ValueError as error:
                raise self._broken(what, str(error)) from None
            for event in whole:
                meter.event(event)
            out = hidden.feed(b"".join(map(usage_hidden, whole)) if self._usage_unasked else piece)
            if meter.ended:
                answer.hold(out + hidden.feed(await _rest(pieces)))
                break
            if out:
                await answer.send(out)
        answer.hold((hidden.feed(events.rest) if self._usage_unasked else b"") + hidden.flush())
        if meter.error is not None:
            answer.told_failure()
            told = from_response(what, Exchange(headers={}, status=200, body=json.dumps(meter.error, default=str)))
            raise CallRefused((told or self._broken(what, "an error")).error, maybe_billed=True, reply=meter.reply())
        if not meter.complete:
            raise self._broken(what, "the stream ended before its last event")

    async def _whole(
        self, response: httpx2.Response, headers: Headers, hidden: KeyHidden, what: str, seen: Exchange
    ) -> None:
        body = await _read(response, _LONGEST_BODY)
        if len(body) > _LONGEST_BODY:
            raise self._broken(what, f"it is longer than {_LONGEST_BODY} bytes")
        seen.body = body.decode("utf-8", "replace")
        self._meter.whole(body)
        shown = hidden.feed(body) + hidden.flush()
        refused = from_response(what, seen, self._meter.reply())
        if refused is None:
            self._answer.hold_whole(response.status_code, headers, shown)
            return
        if refused.error.kind is not ErrorKind.MALFORMED_RESPONSE:
            self._answer.failed(WireResponse(status=response.status_code, headers=headers, body=shown))
        raise refused

    async def _refused(self, response: httpx2.Response, headers: Headers, what: str, seen: Exchange) -> CallRefused:
        """The provider's own error, kept for the client (the same format, so its own words), without any secret."""
        seen.body = (await _read(response, _LONGEST_ERROR)).decode("utf-8", "replace")
        refused = from_response(what, seen)
        assert refused is not None, "every status from 300 on is an error"
        if response.status_code >= 400:
            body = self._redactor.redact(seen.body).encode()
            self._answer.failed(WireResponse(status=response.status_code, headers=headers, body=body))
        return refused

    def _counted(self, reply: ModelReply) -> ModelReply:
        """Counting tokens costs nothing, and says nothing of usage."""
        if self._asked.operation != "count_tokens":
            return reply
        return reply.model_copy(update={"usage": TokenUsage(billed_usd=Decimal(0))})

    def _broken(self, what: str, why: str) -> CallRefused:
        error = PhaseError(
            kind=ErrorKind.CONNECTION,
            message=f"`{what}` broke off its answer: {why}.",
            hint="The agent asks again by itself; look at the provider if this repeats.",
        )
        return CallRefused(error, maybe_billed=True, reply=self._meter.reply())


def _read_body(body: bytes) -> tuple[str, list[Member]]:
    try:
        text = body.decode()
        return text, members(text)
    except ValueError as error:
        raise invalid_request(f"The request's body is no JSON object: {error}.") from None


async def _read(response: httpx2.Response, longest: int) -> bytes:
    """At most a little more than `longest` bytes."""
    found = bytearray()
    async for piece in response.aiter_bytes():
        found += piece
        if len(found) > longest:
            break
    return bytes(found)


async def _rest(pieces: AsyncIterator[bytes]) -> bytes:
    """What follows the last event, for a short while; a connection that stays open is closed by us."""
    found = b""
    try:
        async with asyncio.timeout(_AFTER_THE_END_SECONDS):
            async for piece in pieces:
                found += piece[: _LONGEST_ERROR - len(found)]
    except (TimeoutError, httpx2.HTTPError):
        return found
    return found
