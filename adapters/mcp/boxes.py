"""Tools of the MCP servers that a workspace lists: domain.agents.tools.ToolBoxes.

The SDK takes a second and 40 MB to load: it is loaded, in a thread, when a workspace first lists a server.
"""

import asyncio
import importlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from adapters.mcp.names import SEPARATOR
from domain.agents.tools import ToolOutcome, ToolPlace
from domain.models.messages import ToolSpec
from domain.redaction import Redactor
from domain.runs.words import Effect
from domain.sandbox.ports import Sandbox
from domain.secrets import SecretResolver

if TYPE_CHECKING:
    from adapters.mcp.server import ServedTools

START_SECONDS = 60.0
"""For a server's start with its list of tools; one that is fetched first (`npx`, `uvx`) needs more than its own."""
MOST_TOOLS = 100
"""Of all servers together: providers take 128 in one call, and the agent has some of its own."""

_LEAST_SECONDS = 1.0
"""For a call at the end of the phase's time: the phase itself says that its time is over, after the turn."""


class McpToolBoxes:
    """Commands run through the sandbox, as every command of a phase; references become values here."""

    def __init__(
        self,
        *,
        sandbox: Sandbox,
        secrets: SecretResolver,
        redactor: Redactor,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._sandbox = sandbox
        self._secrets = secrets
        self._redactor = redactor
        self._start_seconds = start_seconds

    @asynccontextmanager
    async def open(self, place: ToolPlace) -> AsyncIterator["McpToolBox"]:
        """Raises PhaseFailure, which names the server, when one cannot be started. At the end nothing of any server
        is left, also when the caller was cancelled."""
        served = await self._served(place)
        try:
            await _start(served)
            yield McpToolBox(served, place)
        finally:
            await _close(served)

    async def _served(self, place: ToolPlace) -> "tuple[ServedTools, ...]":
        if not place.servers:
            return ()
        await asyncio.to_thread(importlib.import_module, "adapters.mcp.server")
        from adapters.mcp.reach import link_to
        from adapters.mcp.server import ServedTools

        return tuple(
            ServedTools(
                server,
                partial(link_to, server, place, self._sandbox, self._secrets),
                self._redactor,
                start_seconds=self._start_seconds,
            )
            for server in place.servers
        )


class McpToolBox:
    """All servers' tools of one execution; a server that was listed first comes first."""

    def __init__(self, served: Sequence["ServedTools"], place: ToolPlace) -> None:
        self._served = served
        self._place = place

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """As the servers list them now: a list may change while the phase runs."""
        return tuple(spec for served in self._served for spec in served.offer.specs)[:MOST_TOOLS]

    def effect_of(self, name: str) -> Effect:
        """What a server says of its tools (`readOnlyHint`) is its own word and counts for nothing."""
        served = self._server_of(name)
        return Effect.IDEMPOTENT if served is not None and not served.server.unsafe else Effect.UNSAFE

    async def call(self, name: str, arguments: dict[str, object]) -> ToolOutcome:
        """Never raises but for a cancelled caller: what a server does wrong is told to the model."""
        served = self._server_of(name)
        if served is None:
            return ToolOutcome(text=f"There is no tool `{name}`.", is_error=True)
        return await served.call(name, arguments, self._limit_seconds)

    @property
    def _limit_seconds(self) -> float:
        place = self._place
        left = place.time_limit_seconds if place.seconds_left is None else place.seconds_left()
        return max(_LEAST_SECONDS, min(place.time_limit_seconds, left))

    def _server_of(self, name: str) -> "ServedTools | None":
        """By the name's beginning: also for a tool that its server does not list any more."""
        server, separator, _ = name.partition(SEPARATOR)
        return next((each for each in self._served if separator and each.server.name == server), None)


async def _start(served: Sequence["ServedTools"]) -> None:
    """All at the same time; the first failure, in the workspace's order, is raised when every one has settled."""
    ends = await asyncio.gather(*(each.start() for each in served), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end


async def _close(served: Sequence["ServedTools"]) -> None:
    """Through any number of cancellations: each close is bounded by itself."""
    closing = asyncio.gather(*(each.close() for each in served))
    cancelled = False
    while not closing.done():
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
