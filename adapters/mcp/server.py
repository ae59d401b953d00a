"""One server of a workspace during one execution: its session, begun anew when it broke, and the tools it offers."""

import asyncio
from collections.abc import Callable

import mcp_types
import structlog
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from adapters.mcp.contents import cut, text_of
from adapters.mcp.links import Link
from adapters.mcp.offer import Offer
from adapters.mcp.session import Session, SessionLost, first_cause
from adapters.mcp.troubles import clause, start_error
from domain.agents.tools import McpServer, ToolOutcome
from domain.errors import PhaseFailure
from domain.redaction import Redactor

MOST_SESSIONS = 3
"""Of one server without an answered call in between: one that breaks again and again is left alone."""
RELIST_SECONDS = 10.0
"""For a list that changed meanwhile; without an answer the old one stays."""
_LONG_CHARACTERS = 64_000
"""Longer texts are redacted beside the event loop."""
_UNKNOWN = "Whether it did its work is not known."
_TOOL_IS_GONE = (mcp_types.METHOD_NOT_FOUND, mcp_types.INVALID_PARAMS)
"""How servers say that they know no such tool (some say it in a result)."""

log = structlog.get_logger("millwright.mcp")


class ServedTools:
    """Calls may overlap. `link` makes a new connection; it may raise PhaseFailure (a missing secret)."""

    def __init__(
        self, server: McpServer, link: Callable[[], Link], redactor: Redactor, *, start_seconds: float
    ) -> None:
        self.server = server
        self.offer = Offer()
        self._link = link
        self._redactor = redactor
        self._start_seconds = start_seconds
        self._session: Session | None = None
        self._newest: Link | None = None
        self._sessions = 0
        self._probe = True
        self._opening = asyncio.Lock()
        self._farewells: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises PhaseFailure, which names the server."""
        try:
            await self._open()
        except Exception as error:  # noqa: BLE001 - whatever the other side made of it ends here, as one error
            raise PhaseFailure(start_error(self.server, first_cause(error), self._newest, self._redactor)) from None

    async def call(self, name: str, arguments: dict[str, object], limit_seconds: float) -> ToolOutcome:
        """Never longer than the limit, and `start_seconds` more where the server has to be started anew."""
        try:
            session = await self._opened()
        except Exception as error:  # noqa: BLE001 - as above; here the model is told
            said = clause(first_cause(error))
            return await self._failed(f"MCP server `{self.server.name}` could not be started anew: {said}.")
        if session is None:
            return await self._failed(
                f"MCP server `{self.server.name}` broke {MOST_SESSIONS} times in a row and is not started again. "
                "Go on without its tools."
            )
        tool = self.offer.original.get(name)
        if tool is None:
            return await self._failed(f"MCP server `{self.server.name}` has no tool `{name}` any more.")
        return await self._outcome(session, tool, arguments, limit_seconds)

    async def close(self) -> None:
        """Ends the connection, and what is left of earlier ones."""
        self._let_go(self._session)
        if self._farewells:
            await asyncio.wait(self._farewells)

    async def _outcome(
        self, session: Session, tool: str, arguments: dict[str, object], limit_seconds: float
    ) -> ToolOutcome:
        name = self.server.name
        try:
            result = await session.call(tool, arguments, limit_seconds)
        except TimeoutError:
            self._let_go(session)
            return await self._failed(
                f"`{tool}` of MCP server `{name}` did not answer within {limit_seconds:g} s: given up. {_UNKNOWN}"
            )
        except (MCPError, ValidationError) as error:
            if isinstance(error, ValidationError) or error.code == mcp_types.PARSE_ERROR:
                return await self._failed(
                    f"`{tool}` of MCP server `{name}` answered with what is no result. {_UNKNOWN}"
                )
            await self._refresh(session, limit_seconds, changed=error.code in _TOOL_IS_GONE)
            return await self._failed(f"MCP server `{name}` refuses the call of `{tool}`: {error.message}")
        except Exception as error:  # noqa: BLE001 - SessionLost, or what the SDK makes of a server that breaks
            self._let_go(session)
            said = clause(first_cause(error))
            return await self._failed(f"MCP server `{name}` broke during the call of `{tool}`: {said}. {_UNKNOWN}")
        self._sessions = 1
        await self._refresh(session, limit_seconds)
        if isinstance(result, mcp_types.InputRequiredResult):
            return await self._failed(f"`{tool}` of MCP server `{name}` asks for a person's input; there is none here.")
        text = await self._shown(text_of(result))
        return ToolOutcome(text=text or "(It answered with nothing.)", is_error=result.is_error)

    async def _opened(self) -> Session | None:
        """The session, begun anew where it is gone; None when that happened too often."""
        async with self._opening:
            if self._session is not None or self._sessions >= MOST_SESSIONS:
                return self._session
            return await self._open()

    async def _open(self) -> Session:
        self._sessions += 1
        async with asyncio.timeout(self._start_seconds):
            try:
                return await self._begin()
            except SessionLost:
                if not self._probe or self.offer.original:
                    raise
                # a server of before 2026 may end at the question that finds out its version: it is not asked again
                self._probe = False
                return await self._begin()

    async def _begin(self) -> Session:
        link = self._newest = self._link()
        session = self._session = Session(link, probe=self._probe)
        try:
            await session.open(self._start_seconds)
            self._take(await session.tools(self._start_seconds))
        except BaseException:
            self._let_go(session)
            raise
        return session

    async def _refresh(self, session: Session, limit_seconds: float, *, changed: bool = False) -> None:
        if not changed and not session.tools_changed:
            return
        try:
            self._take(await session.tools(min(limit_seconds, RELIST_SECONDS)))
        except (TimeoutError, SessionLost, MCPError, ValidationError) as error:
            log.warning("mcp.list_kept", server=self.server.name, why=clause(error))

    def _take(self, tools: list[mcp_types.Tool]) -> None:
        self.offer = Offer.of(self.server.name, tools, self._redactor)
        for tool, why in self.offer.left_out.items():
            log.warning("mcp.tool_left_out", server=self.server.name, tool=tool, why=why)

    def _let_go(self, session: Session | None) -> None:
        """The next call begins anew; the farewell takes its time beside it."""
        if session is None:
            return
        if self._session is session:
            self._session = None
        farewell = asyncio.create_task(session.close())
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    async def _failed(self, text: str) -> ToolOutcome:
        return ToolOutcome(text=await self._shown(text), is_error=True)

    async def _shown(self, text: str) -> str:
        """Redacted before it is cut: a part of a secret is not recognized."""
        if len(text) > _LONG_CHARACTERS:
            return cut(await asyncio.to_thread(self._redactor.redact, text))
        return cut(self._redactor.redact(text))
