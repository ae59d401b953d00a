"""An HTTP endpoint on a real socket that answers byte by byte as a test says, and keeps what it was sent."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "answering-model",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 40},
    },
}


@dataclass
class Answer:
    """What the endpoint does with one request."""

    body: bytes = json.dumps(COMPLETION).encode()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    says_length: int | None = None
    """A Content-Length that may be wrong."""
    cut_after: int | None = None
    """Bytes of the body after which the connection is reset; -1: before any response."""
    drip_seconds: float = 0.0
    """Pause after each byte of the body."""
    event_seconds: float | None = None
    """The body is an event stream: one chunk for each event, with this pause after it; cut off after `cut_after`."""

    @staticmethod
    def of(body: object, status: int = 200, **headers: str) -> "Answer":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Answer(json.dumps(body).encode(), status, named)


@dataclass
class Sent:
    headers: dict[str, str]
    body: dict[str, Any]
    path: str = ""
    """With its query."""


@dataclass
class Endpoint:
    base_url: str = ""
    answer: Answer = field(default_factory=Answer)
    queue: list[Answer] = field(default_factory=list)
    """Answers of the next requests, before all others; each is used once."""
    by_path: dict[str, Answer] = field(default_factory=dict)
    """Answers of single paths (without query), before `answer`."""
    sent: list[Sent] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                first = await reader.readexactly(1)
                if first == b"\x16":  # a TLS greeting
                    raise ConnectionResetError
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
                request_line, *rest = head.split("\r\n")
                path = request_line.split(" ")[1]
                lines = [line.partition(": ") for line in rest if line]
                headers = {name.lower(): value for name, _, value in lines}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.sent.append(Sent(headers, json.loads(body or b"{}"), path))
                known = self.by_path.get(path.partition("?")[0], self.answer)
                await self._answer(writer, self.queue.pop(0) if self.queue else known)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        if answer.delay_seconds:
            await asyncio.sleep(answer.delay_seconds)
        if answer.cut_after == -1:
            raise ConnectionResetError
        if answer.event_seconds is not None:
            await _events(writer, answer, answer.event_seconds)
            return
        length = len(answer.body) if answer.says_length is None else answer.says_length
        headers = {"content-type": "application/json", **answer.headers, "content-length": str(length)}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {answer.status} X\r\n{head}\r\n".encode())
        if answer.drip_seconds:
            for byte in answer.body:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(answer.drip_seconds)
            return
        writer.write(answer.body[: answer.cut_after])
        await writer.drain()
        if answer.cut_after is not None or length != len(answer.body):
            raise ConnectionResetError


async def _events(writer: asyncio.StreamWriter, answer: Answer, pause: float) -> None:
    headers = {"content-type": "text/event-stream", **answer.headers, "transfer-encoding": "chunked"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {answer.status} X\r\n{head}\r\n".encode())
    for event in re.findall(rb".*?\n\n|.+\Z", answer.body[: answer.cut_after], re.DOTALL):
        writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        await writer.drain()
        await asyncio.sleep(pause)
    if answer.cut_after is not None:
        raise ConnectionResetError
    writer.write(b"0\r\n\r\n")
    await writer.drain()


@asynccontextmanager
async def endpoint() -> AsyncIterator[Endpoint]:
    fake = Endpoint()
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            await fake.serve(reader, writer)
        except asyncio.CancelledError:
            writer.close()
        finally:
            handlers.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    fake.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield fake
    finally:
        server.close()
        for task in list(handlers):
            task.cancel()
        if handlers:
            await asyncio.wait(handlers)
