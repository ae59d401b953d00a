"""The HTTP client under every provider: what goes out is exactly ours, what came back is kept for the error table.

SDKs read keys, organizations and headers from the environment; here only the listed headers pass, and the credential
is put in as the request leaves, so no library object holds it.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import httpx2

_CONNECT_SECONDS = 10.0
_READ_SECONDS = 600.0
"""Between two reads; each request sets its own."""
_CONNECTIONS = 1_000
"""The policy's concurrent limit and the phase slots decide, not the client."""
_KEPT_ALIVE = 50

_PASSES = frozenset(
    {"host", "accept", "accept-encoding", "connection", "content-type", "content-length", "transfer-encoding"}
)


@dataclass
class Exchange:
    """One call on the wire. `status` is None until a response began, `body` until it was read whole."""

    headers: dict[str, str]
    """Put into the request."""
    status: int | None = None
    response_headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None


_current: ContextVar[Exchange | None] = ContextVar("millwright_exchange", default=None)


@contextmanager
def exchange(headers: dict[str, str]) -> Iterator[Exchange]:
    """The exchange of the one request made inside."""
    seen = Exchange(headers=headers)
    token = _current.set(seen)
    try:
        yield seen
    finally:
        _current.reset(token)


async def _outgoing(request: httpx2.Request) -> None:
    for name in list(request.headers):
        if name.lower() not in _PASSES:
            del request.headers[name]
    request.headers["user-agent"] = "millwright"
    current = _current.get()
    for name, value in (current.headers if current else {}).items():
        request.headers[name] = value


async def _incoming(response: httpx2.Response) -> None:
    current = _current.get()
    if current is None:
        return
    current.status = response.status_code
    current.response_headers = {name.lower(): value for name, value in response.headers.items()}
    await response.aread()
    current.body = response.text


@asynccontextmanager
async def http_client() -> AsyncIterator[httpx2.AsyncClient]:
    """One per process. Proxies and certificates come from the usual variables of the system; redirects are off (a
    credential goes to the endpoint of the policy and nowhere else)."""
    async with httpx2.AsyncClient(
        timeout=httpx2.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS),
        limits=httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_KEPT_ALIVE),
        follow_redirects=False,
        event_hooks={"request": [_outgoing], "response": [_incoming]},
    ) as client:
        yield client
