"""Standard input and output of a command that is talked to while it runs."""

import asyncio
import contextlib
import os
from collections.abc import Callable

from adapters.sandbox.output import OutputWindow
from domain.sandbox.ports import CommandResult

READ_AHEAD_BYTES = 128 * 1024
"""Read from the pipe before anybody asks; twice as much at most."""


class Pipes:
    """Our ends of the two pipes, and the command's, which are closed as soon as its guard has them."""

    def __init__(self, on_progress: Callable[[], None]) -> None:
        command_reads, self._we_write = os.pipe()
        self._we_read, command_writes = os.pipe()
        self.command_ends = (command_reads, command_writes)
        self._on_progress = on_progress
        self._reader = asyncio.StreamReader(limit=READ_AHEAD_BYTES)
        self._writer: asyncio.StreamWriter | None = None
        self._flow: _Flow | None = None
        self._reading: asyncio.BaseTransport | None = None

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._reading, _ = await loop.connect_read_pipe(
            lambda: _Noticed(self._reader, self._on_progress), os.fdopen(self._we_read, "rb", buffering=0)
        )
        transport, self._flow = await loop.connect_write_pipe(_Flow, os.fdopen(self._we_write, "wb", buffering=0))
        self._writer = asyncio.StreamWriter(transport, self._flow, None, loop)

    def close_command_ends(self) -> None:
        for number in self.command_ends:
            os.close(number)

    async def read(self, most_bytes: int) -> bytes:
        return await self._reader.read(most_bytes)

    async def write(self, data: bytes) -> None:
        if self._writer is None or self._writer.is_closing():
            raise BrokenPipeError("the command's standard input is closed")
        self._writer.write(data)
        await self._writer.drain()

    def close_input(self) -> None:
        if self._writer is not None:
            self._writer.close()

    async def close(self) -> None:
        """Everything of ours; what was not written yet is dropped."""
        if self._reading is not None:
            self._reading.close()
        if self._writer is not None and self._flow is not None and not self._flow.lost:
            self._writer.transport.abort()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()


class _Flow(asyncio.StreamReaderProtocol):
    """Of what we write: holds a writer up, and knows when its transport is gone, which must not be ended twice."""

    def __init__(self) -> None:
        super().__init__(asyncio.StreamReader())
        self.lost = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        super().connection_lost(exc)


class _Noticed(asyncio.StreamReaderProtocol):
    """Bytes that come are progress, read or not."""

    def __init__(self, reader: asyncio.StreamReader, on_progress: Callable[[], None]) -> None:
        super().__init__(reader)
        self._on_progress = on_progress

    def data_received(self, data: bytes) -> None:
        self._on_progress()
        super().data_received(data)


class GuardedProcess:
    """Implements domain.sandbox.ports.OpenProcess."""

    def __init__(self, pipes: Pipes, result: "asyncio.Task[CommandResult]", window: OutputWindow) -> None:
        self._pipes = pipes
        self._result = result
        self._window = window

    async def read(self, most_bytes: int = 65_536) -> bytes:
        return await self._pipes.read(most_bytes)

    async def write(self, data: bytes) -> None:
        await self._pipes.write(data)

    def close_input(self) -> None:
        self._pipes.close_input()

    async def ended(self) -> CommandResult:
        return await asyncio.shield(self._result)

    @property
    def last_words(self) -> str:
        return self._window.last_lines
