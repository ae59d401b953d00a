"""A provider on a real socket that keeps every byte it was sent, and answers in the pieces that a test gives."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Received:
    path: str
    """With its query."""
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.raw))


@dataclass
class Pieces:
    """One response. Without `cut` it ends as HTTP says, with it the connection is reset after the last piece."""

    pieces: list[bytes]
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})
    pause: float = 0.0
    cut: bool = False
    gate: asyncio.Event | None = None
    """Waited for after the first piece."""

    @staticmethod
    def json(body: object, status: int = 200, **headers: str) -> "Pieces":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Pieces([json.dumps(body).encode()], status, {"content-type": "application/json", **named})

    @staticmethod
    def dripped(body: bytes) -> "Pieces":
        return Pieces([body[at : at + 1] for at in range(len(body))])


@dataclass
class RawUpstream:
    base_url: str = ""
    answer: Callable[[Received], Pieces] = field(default=lambda _: Pieces.json({}))
    received: list[Received] = field(default_factory=list)
    pieces: int = 0
    """That went out, of all responses."""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                raw = await reader.readexactly(int(headers.get("content-length", "0")))
                received = Received(first.split(" ")[1], headers, raw)
                self.received.append(received)
                await self._respond(writer, self.answer(received))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _respond(self, writer: asyncio.StreamWriter, answer: Pieces) -> None:
        headers = {**answer.headers, "transfer-encoding": "chunked"}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {answer.status} X\r\n{head}\r\n".encode())
        for number, piece in enumerate(answer.pieces):
            if number == 1 and answer.gate is not None:
                await answer.gate.wait()
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
            self.pieces += 1
            await asyncio.sleep(answer.pause)
        if answer.cut:
            writer.transport.abort()
            raise ConnectionResetError
        writer.write(b"0\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def raw_upstream() -> AsyncIterator[RawUpstream]:
    """`base_url` without a path."""
    upstream = RawUpstream()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await upstream.handle(reader, writer)
        except asyncio.CancelledError:
            writer.close()
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    upstream.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
