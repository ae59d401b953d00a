"""A client's request, read: whose it is, what it asks for, in which format."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from adapters.gateway.formats import FORMATS
from adapters.gateway.headers import Headers
from adapters.gateway.json_edit import members
from adapters.gateway.reading import count, text
from domain.gateway.wire import WireFormat, WireRequest
from domain.models.messages import CallRefused
from domain.runs.failure import ErrorKind, PhaseError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

OPENAI = "/openai/v1"
ANTHROPIC = "/anthropic"


@dataclass(frozen=True)
class Route:
    """A path that is served. `models`: the list of models, or one (`named`); else a call."""

    format: WireFormat
    operation: str = ""
    models: bool = False
    named: str = ""


_CALLS = {
    f"{OPENAI}/chat/completions": Route(WireFormat.OPENAI_CHAT),
    f"{OPENAI}/responses": Route(WireFormat.OPENAI_RESPONSES),
    f"{OPENAI}/responses/compact": Route(WireFormat.OPENAI_RESPONSES, "compact"),
    f"{ANTHROPIC}/v1/messages": Route(WireFormat.ANTHROPIC_MESSAGES),
    f"{ANTHROPIC}/v1/messages/count_tokens": Route(WireFormat.ANTHROPIC_MESSAGES, "count_tokens"),
}
_MODELS = {
    f"{OPENAI}/models": WireFormat.OPENAI_CHAT,
    f"{ANTHROPIC}/v1/models": WireFormat.ANTHROPIC_MESSAGES,
}


def route(method: str, path: str) -> Route | None:
    if method == "POST":
        return _CALLS.get(path)
    if method == "GET":
        for known, format in _MODELS.items():
            if path == known or path.startswith(f"{known}/"):
                return Route(format, models=True, named=path[len(known) + 1 :])
    return None


def format_of(path: str) -> WireFormat:
    """In whose words an error on this path is told."""
    if path.startswith(ANTHROPIC):
        return WireFormat.ANTHROPIC_MESSAGES
    return WireFormat.OPENAI_RESPONSES if "/responses" in path else WireFormat.OPENAI_CHAT


def headers_of(scope: MutableMapping[str, Any]) -> Headers:
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])


def token_of(headers: Headers) -> str:
    """Of `Authorization: Bearer` or `x-api-key`; empty: none was sent."""
    sent = dict(headers)
    kind, _, value = sent.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" and value.strip() else sent.get("x-api-key", "").strip()


async def body_of(receive: Receive, headers: Headers, *, most_bytes: int, seconds: float) -> bytes:
    """Raises CallRefused when it is too long, too slow, compressed, or its client goes."""
    sent = dict(headers)
    if sent.get("content-encoding", "identity") != "identity":
        raise _refused(
            ErrorKind.INVALID_REQUEST, f"A body with content-encoding {sent['content-encoding']} is not read."
        )
    length = sent.get("content-length", "")
    too_long = _refused(ErrorKind.OVERSIZED, f"The request is longer than {most_bytes} bytes.")
    if length.isdigit() and int(length) > most_bytes:
        raise too_long
    found = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _refused(ErrorKind.CANCELLED, "The client has gone.")
                found += message.get("body", b"")
                if len(found) > most_bytes:
                    raise too_long
                if not message.get("more_body", False):
                    return bytes(found)
    except TimeoutError:
        raise _refused(ErrorKind.TIMEOUT, f"The request did not come whole within {seconds:g} s.") from None


def read_request(route: Route, scope: MutableMapping[str, Any], headers: Headers, body: bytes) -> WireRequest:
    """Raises CallRefused for what is no JSON object, and for what no answer could be counted for."""
    try:
        told = {member.name: member.value for member in members(body.decode())}
    except ValueError as error:
        raise _refused(ErrorKind.INVALID_REQUEST, f"The request's body is no JSON object: {error}.") from None
    if told.get("background"):
        raise _refused(ErrorKind.INVALID_REQUEST, "`background` is not served: its usage could not be read.")
    limits = (count(told.get(name)) for name in FORMATS[route.format].limits)
    limit = next((found for found in limits if found), None)
    choices = count(told.get("n")) or 1
    return WireRequest(
        format=route.format,
        operation=route.operation,
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        body=body,
        model=text(told.get("model")),
        stream=told.get("stream") is True,
        max_output_tokens=None if limit is None else limit * choices,
    )


def _refused(kind: ErrorKind, message: str) -> CallRefused:
    return CallRefused(PhaseError(kind=kind, message=message))
