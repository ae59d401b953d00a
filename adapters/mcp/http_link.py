"""A server at an address: streamable HTTP, with the workspace's headers, to that origin and nowhere else."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import httpx2
from mcp.client._transport import TransportStreams
from mcp.client.streamable_http import streamable_http_client

from adapters.mcp.links import MOST_BYTES

_CONNECT_SECONDS = 10.0
_WRITE_SECONDS = 30.0


class HttpLink:
    """Implements links.Link. `headers` are values, resolved; each reaches the server's origin only: redirects to
    another one are not followed. Proxies and certificates come from the usual variables of the system."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = dict(headers)
        self.ended = asyncio.Event()
        self.status: int | None = None
        self._broken = ""

    @property
    def account(self) -> str:
        return self._broken or (f"it answered HTTP {self.status}" if self.status is not None else "")

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[TransportStreams]:
        # no read timeout: a session bounds each of its calls, and the stream of notices may be silent for hours
        times = httpx2.Timeout(_WRITE_SECONDS, connect=_CONNECT_SECONDS, read=None)
        # packed answers are not asked for: their size could not be bounded before they are unpacked
        headers = {**self._headers, "accept-encoding": "identity"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=times, event_hooks={"response": [self._look]}) as client,
            streamable_http_client(self._url, http_client=client, max_sse_event_size=MOST_BYTES) as streams,
        ):
            yield streams

    async def _look(self, response: httpx2.Response) -> None:
        self.status = response.status_code if response.status_code >= 400 else None
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            self._broken = "it answered with a packed body, which was not asked for"
            raise httpx2.DecodingError(self._broken)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream, self._too_much)

    def _too_much(self) -> Exception:
        self._broken = f"it answered with more than {MOST_BYTES:,} bytes"
        return httpx2.ReadError(self._broken)


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends with an error beyond MOST_BYTES. (An event stream is one body.)"""

    def __init__(self, body: httpx2.AsyncByteStream, too_much: Callable[[], Exception]) -> None:
        self._body = body
        self._too_much = too_much

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in self._body:
            seen += len(chunk)
            if seen > MOST_BYTES:
                raise self._too_much()
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()
