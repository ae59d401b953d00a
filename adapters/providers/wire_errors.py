"""The one place where exceptions of HTTP clients and SDKs become closed kinds.

CallRefused
├── from a response (domain.models.provider_errors): status, codes, types, text, and what a 200 carries inside
├── timeout             sent, no answer in time                                       (may be billed)
├── connection          not sent: name, address, proxy, TLS                           (not billed)
│                       sent and cut off, or the body is not as long as it said       (may be billed)
├── malformed_response  a whole response that is not the format                       (may be billed)
└── invalid_request     the library refused to build the request                      (not billed)
"""

from datetime import UTC, datetime

import httpx2
from anthropic import AnthropicError
from openai import OpenAIError
from pydantic_ai.exceptions import AgentRunError, UserError

from adapters.providers.wire import Exchange
from domain.models.messages import CallRefused, ModelReply
from domain.models.provider_errors import HINTS, ErrorShape, classify
from domain.models.retry_after import retry_after
from domain.runs.failure import EXCERPT_LIMIT, ErrorKind, PhaseError

FOREIGN = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    OpenAIError,
    AnthropicError,
    AgentRunError,
    UserError,
    RecursionError,
)
"""Everything that the libraries raise (the last one on JSON too deep to read); anything else is a defect."""

_NOT_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    httpx2.InvalidURL,
)


def from_response(what: str, seen: Exchange, reply: ModelReply | None = None) -> CallRefused | None:
    """The refusal that a whole response stands for; None: it is no error."""
    if seen.status is None or seen.body is None:
        return None
    shape = classify(seen.status, seen.response_headers, seen.body)
    return None if shape is None else _refusal(what, seen, shape, reply)


def from_exception(error: Exception, what: str, seen: Exchange) -> CallRefused:
    """The refusal that an exception of FOREIGN stands for."""
    told = from_response(what, seen)
    if told is not None:
        return told
    if seen.body is not None:
        return _refusal(what, seen, ErrorShape(kind=ErrorKind.MALFORMED_RESPONSE, text=_line(error)))
    root = _root(error)
    if isinstance(error, UserError):
        return _plain(ErrorKind.INVALID_REQUEST, f"`{what}` cannot be asked this way: {_line(error)}", False)
    if seen.status is not None:
        return _plain(ErrorKind.CONNECTION, f"`{what}` cut the connection while it answered: {_line(root)}", True)
    if isinstance(root, _NOT_SENT):
        return _plain(ErrorKind.CONNECTION, f"`{what}` cannot be reached: {_line(root)}", False)
    if isinstance(root, httpx2.TimeoutException):
        return _plain(ErrorKind.TIMEOUT, f"`{what}` did not answer in time: {_line(root)}", True)
    return _plain(ErrorKind.CONNECTION, f"The connection to `{what}` broke: {_line(root)}", True)


def unusable(kind: ErrorKind, what: str, message: str, reply: ModelReply) -> CallRefused:
    """A well-formed answer that holds nothing to use; it was paid."""
    return CallRefused(
        PhaseError(kind=kind, message=f"`{what}` {message}.", hint=HINTS[kind]), maybe_billed=True, reply=reply
    )


def _refusal(what: str, seen: Exchange, shape: ErrorShape, reply: ModelReply | None = None) -> CallRefused:
    says = f": {shape.text}" if shape.text else ""
    return CallRefused(
        PhaseError(
            kind=shape.kind,
            message=f"`{what}` answered {seen.status} ({shape.kind.value}){says}",
            excerpt=(seen.body or "")[:EXCERPT_LIMIT],
            hint=HINTS[shape.kind],
            retry_after_seconds=retry_after(seen.response_headers, seen.body or "", datetime.now(UTC)),
        ),
        maybe_billed=seen.status is not None and seen.status < 300,
        reply=reply,
    )


def _plain(kind: ErrorKind, message: str, maybe_billed: bool) -> CallRefused:
    return CallRefused(PhaseError(kind=kind, message=message, hint=HINTS[kind]), maybe_billed=maybe_billed)


def _root(error: BaseException) -> BaseException:
    """The HTTP client's own exception under what the libraries wrapped it in."""
    found = error
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, httpx2.HTTPError | httpx2.InvalidURL | httpx2.StreamError):
            return current
        found = current
        current = current.__cause__ or current.__context__
    return found


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
