"""A server that is a command: one JSON message a line over its standard input and output, under the sandbox."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import anyio
import mcp_types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage

from adapters.mcp.links import MOST_BYTES
from domain.errors import PhaseFailure
from domain.sandbox.ports import OpenProcess

MOST_UNASKED_BYTES = 16 * 1024 * 1024
"""Between two answers: a server that says more than this unasked is cut off."""
MOST_UNASKED_REQUESTS = 1_000
"""Likewise: each is answered, and the answers wait for a server that does not read."""
FAREWELL_SECONDS = 0.5
"""From the end of its input until the server is ended by signals."""
ACCOUNT_SECONDS = 1.0
"""How long its exit code is waited for after its last word."""
_PENDING_WRITES = 64
_EXCERPT = 200
_HEARD = "notifications/tools/list_changed"
"""The one notice that means something here; logs and progress are dropped before they cost anything."""

Incoming = SessionMessage | Exception


class PipeLink:
    """Implements links.Link. `start` opens the command in the sandbox."""

    def __init__(self, start: Callable[[], AbstractAsyncContextManager[OpenProcess]]) -> None:
        self._start = start
        self.ended = asyncio.Event()
        self.status = None
        self._process: OpenProcess | None = None
        self._left = False
        """By us: that it ends then is no news."""
        self._broken = ""
        self._noise = ""
        self._unasked_bytes = 0
        self._unasked_requests = 0

    @property
    def account(self) -> str:
        words = self._process.last_words.strip() if self._process is not None else ""
        noise = f"it printed what is no message: {self._noise}" if self._noise and not self._broken else ""
        return "; ".join(part for part in (self._broken, noise, f"its last words: {words}" if words else "") if part)

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[TransportStreams]:
        """Raises PhaseFailure(sandbox) when the command cannot be started."""
        to_session, from_server = anyio.create_memory_object_stream[Incoming](0)
        from_session, to_server = anyio.create_memory_object_stream[SessionMessage](_PENDING_WRITES)
        async with to_session, from_server, from_session, to_server, self._start() as process:
            self._process = process
            pumps = [
                asyncio.create_task(self._read(process, to_session)),
                asyncio.create_task(self._write(process, to_server)),
            ]
            try:
                yield from_server, from_session
            finally:
                self._left = True
                process.close_input()
                with anyio.move_on_after(FAREWELL_SECONDS, shield=True):
                    await asyncio.wait(pumps)
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)

    async def _read(self, process: OpenProcess, to_session: MemoryObjectSendStream[Incoming]) -> None:
        """Until the server's end of output, or its end as a partner. Also while nobody listens any more: a server that
        cannot get rid of its output does not hear its farewell."""
        rest = bytearray()
        try:
            while not self._broken and (data := await process.read()):
                rest += data
                if b"\n" in data:
                    *lines, last = bytes(rest).split(b"\n")
                    rest = bytearray(last)
                    for line in lines:
                        await self._take(line, to_session)
                self._count(len(data))
                if len(rest) > MOST_BYTES:
                    self._broken = f"it sent a message of more than {MOST_BYTES:,} bytes"
                await asyncio.sleep(0)
            if not self._broken and not self._left:
                self._broken = await _how_it_ended(process)
        finally:
            self.ended.set()
            to_session.close()

    async def _take(self, line: bytes, to_session: MemoryObjectSendStream[Incoming]) -> None:
        if not line.strip() or self._broken:
            return
        try:
            message = mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            self._take_noise(line)
            return
        if isinstance(message, mcp_types.JSONRPCNotification) and message.method != _HEARD:
            return
        if isinstance(message, mcp_types.JSONRPCResponse | mcp_types.JSONRPCError):
            self._unasked_bytes = self._unasked_requests = 0
        elif isinstance(message, mcp_types.JSONRPCRequest):
            self._unasked_requests += 1
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # nobody listens any more
            await to_session.send(SessionMessage(message))

    def _take_noise(self, line: bytes) -> None:
        """Some servers print a banner or log lines where their messages belong: those are passed over. What claims to
        be a message and is none would leave its caller waiting, and ends the connection."""
        self._noise = line[:_EXCERPT].decode(errors="replace").strip()
        if _claims_to_be_a_message(line):
            self._broken = f"it sent a message that is not valid: {self._noise}"

    def _count(self, unasked_bytes: int) -> None:
        self._unasked_bytes += unasked_bytes
        if self._unasked_bytes > MOST_UNASKED_BYTES or self._unasked_requests > MOST_UNASKED_REQUESTS:
            self._broken = "it floods: it sends without end what nobody asked for"

    async def _write(self, process: OpenProcess, to_server: MemoryObjectReceiveStream[SessionMessage]) -> None:
        with suppress(OSError):  # it reads no more: its output's end, or the caller's limit, says the rest
            async for item in to_server:
                text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                await process.write(text.encode() + b"\n")


def _claims_to_be_a_message(line: bytes) -> bool:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return line.lstrip().startswith(b"{")
    return isinstance(said, dict) and "jsonrpc" in said


async def _how_it_ended(process: OpenProcess) -> str:
    try:
        async with asyncio.timeout(ACCOUNT_SECONDS):
            result = await process.ended()
    except TimeoutError:
        return "it closed its output"
    except PhaseFailure as failure:
        return failure.error.message
    if result.signal is not None:
        return f"it ended by {result.signal}"
    return f"it ended with exit code {result.exit_code}"
