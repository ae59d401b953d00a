"""One connection to one server, in a task of its own.

The SDK's task groups cancel the task that opened them when a transport breaks. That must never be the phase's, so the
connection lives in a task that only it can end, and callers wait for answers with a time limit that nothing inside can
stretch.
"""

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

import mcp_types
from mcp.client import Client
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from opentelemetry import trace
from pydantic import TypeAdapter

from adapters.mcp.links import Link

CLOSE_SECONDS = 5.0
"""For a farewell to a server (its own time to end is the sandbox's); then its connection is cut."""
MOST_PAGES = 20
"""Of a list of tools: one that never ends does not hold the start."""
_RESULT: TypeAdapter[mcp_types.CallToolResult | mcp_types.InputRequiredResult] = TypeAdapter(
    mcp_types.CallToolResult | mcp_types.InputRequiredResult
)
_US = mcp_types.Implementation(name="millwright", version="1")
_UNRECORDED = trace.NonRecordingSpan(trace.SpanContext(trace_id=1, span_id=1, is_remote=False))
"""Parent of the SDK's own spans: they would be traces beside the run's, which is told from committed rows."""

Answer = TypeVar("Answer")


class SessionLost(Exception):
    """The connection is gone; the text says how, as a clause. Not yet redacted."""


def first_cause(error: BaseException) -> BaseException:
    """The SDK's task groups wrap what happened; the first of it is told."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Session:
    """Use `open` once, then the calls, then `close` (always, also after a failed `open`). Without `probe` the server is
    not asked for its version first, but taken for one of before 2026."""

    def __init__(self, link: Link, *, probe: bool = True) -> None:
        self._link = link
        mode = "auto" if probe else "legacy"
        self._client = Client(link.streams(), mode=mode, cache=None, client_info=_US, message_handler=self._hear)
        self._ready = asyncio.Event()
        self._closing = asyncio.Event()
        self._connection: asyncio.Task[None] | None = None
        self._abandoned: set[asyncio.Task[Any]] = set()
        self.tools_changed = False
        """The server said that its list is another one now."""

    async def open(self, limit_seconds: float) -> None:
        """Raises TimeoutError, or what the connection failed with."""
        self._connection = asyncio.create_task(self._live())
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({self._connection, ready}, timeout=limit_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._connection.done():
            error = self._connection.exception()
            raise self._in_our_words(SessionLost("it ended") if error is None else first_cause(error))
        if not self._ready.is_set():
            raise TimeoutError

    async def tools(self, limit_seconds: float) -> list[mcp_types.Tool]:
        """The server's list. Raises TimeoutError, SessionLost, MCPError, ValidationError."""
        return await self._within(limit_seconds, self._list())

    async def call(
        self, tool: str, arguments: dict[str, object], limit_seconds: float
    ) -> mcp_types.CallToolResult | mcp_types.InputRequiredResult:
        """Raises TimeoutError, SessionLost, MCPError (the server's own words), ValidationError.

        The result is not compared with the tool's output schema: a pattern of a server would run in our process.
        """
        return await self._within(limit_seconds, self._call(tool, arguments))

    async def close(self) -> None:
        """Whatever state it is in; takes at most twice CLOSE_SECONDS and what the link itself needs."""
        self._closing.set()
        if self._connection is not None and not self._ready.is_set():
            self._connection.cancel()  # it is still waiting for the server's first answer
        tasks = {task for task in (self._connection, *self._abandoned) if task is not None}
        if not tasks:
            return
        _, pending = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=CLOSE_SECONDS)

    async def _live(self) -> None:
        with trace.use_span(_UNRECORDED):
            async with self._client:
                self._ready.set()
                over = [asyncio.create_task(event.wait()) for event in (self._closing, self._link.ended)]
                try:
                    await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in over:
                        task.cancel()

    async def _call(
        self, tool: str, arguments: dict[str, object]
    ) -> mcp_types.CallToolResult | mcp_types.InputRequiredResult:
        # a half of a surrogate pair, which JSON may spell and UTF-8 cannot, would stop the writer of the connection
        arguments = json.loads(json.dumps(arguments, ensure_ascii=False).encode("utf-8", "replace"))
        request = mcp_types.CallToolRequest(params=mcp_types.CallToolRequestParams(name=tool, arguments=arguments))
        return await self._client.session.send_request(request, _RESULT)

    async def _list(self) -> list[mcp_types.Tool]:
        self.tools_changed = False
        session: ClientSession = self._client.session
        found: list[mcp_types.Tool] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await session.list_tools(params=mcp_types.PaginatedRequestParams(cursor=cursor))
            found.extend(page.tools)
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    async def _within(self, limit_seconds: float, work: Coroutine[Any, Any, Answer]) -> Answer:
        """The SDK says goodbye to a request that is given up, and may wait for that; nobody here waits for it."""
        assert self._connection is not None
        with trace.use_span(_UNRECORDED):
            asking = asyncio.create_task(work)
        try:
            await asyncio.wait({asking, self._connection}, timeout=limit_seconds, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done() and self._connection.done():
                raise SessionLost(self._link.account or "the connection broke")
            if not asking.done():
                raise TimeoutError
            return asking.result()
        except MCPError as error:
            raise self._in_our_words(error) from None
        except RuntimeError as error:  # the SDK's word for a session that has just ended
            raise self._in_our_words(SessionLost(str(error))) from None
        finally:
            if not asking.done():
                asking.cancel()
                self._abandoned.add(asking)
                asking.add_done_callback(self._forget)

    def _in_our_words(self, error: BaseException) -> BaseException:
        """The same, or what the link knows better: why the connection closed, with which status it was refused."""
        closed = isinstance(error, MCPError) and error.code == mcp_types.CONNECTION_CLOSED
        if closed or isinstance(error, SessionLost):
            return SessionLost(self._link.account or str(error))
        if isinstance(error, MCPError) and self._link.status is not None:
            return MCPError(error.code, f"{self._link.account} ({error.message})")
        return error

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        with contextlib.suppress(asyncio.CancelledError, Exception):  # nobody asks for it any more
            task.result()

    async def _hear(self, message: object) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self.tools_changed = True
