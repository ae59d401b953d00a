"""The ports between an agent's turns and what carries out its tool calls."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, Self
from uuid import UUID

from pydantic import Field, model_validator

from domain.base import Frozen
from domain.models.messages import ToolSpec
from domain.runs.words import Effect


class ToolOutcome(Frozen):
    """What came of one tool call. An error is said to the model, which may mend its call; it fails no phase."""

    text: str
    is_error: bool = False
    finished: bool = False
    """The agent says that its work is done; the text is its summary."""
    exit_code: int | None = None
    """Of a command."""
    signal: str | None = None
    tail: str = ""
    """Last 5 lines for the step's row; empty: they are taken from the text."""


class McpServer(Frozen):
    """A server of tools that a workspace lists: a command that speaks over stdin and stdout, or an address."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")
    command: tuple[str, ...] | None = None
    env: dict[str, str] = {}
    """Values may be secret references (`env:NAME`, `file:path`)."""
    url: str | None = None
    headers: dict[str, str] = {}
    """Values may be secret references."""
    unsafe: bool = True
    """Its tools reach outside of the worktree: a call that may have happened is never repeated by itself."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("give exactly one of `command` and `url`")
        return self


class ToolPlace(Frozen):
    """Where the tools of one execution work."""

    org_id: UUID
    run_id: UUID
    worktree: Path
    env: dict[str, str] = {}
    time_limit_seconds: float
    """Longest time of one call."""
    seconds_left: Callable[[], float] | None = None
    """How long the phase may still work: no call takes longer."""
    servers: tuple[McpServer, ...] = ()


class ToolBox(Protocol):
    """One family of tools, open for one execution of an agent phase."""

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """Names are unique over all boxes of an execution (`server__tool` for a server's)."""
        ...

    def effect_of(self, name: str) -> Effect:
        """`none`: reads only. `idempotent`: its effects lie in the worktree. `unsafe`: it reaches outside."""
        ...

    async def call(self, name: str, arguments: dict[str, object]) -> ToolOutcome:
        """Whatever the tool does wrong is an outcome with `is_error`. Raises only what ends the phase
        (PhaseFailure, Stopped); a cancelled caller leaves nothing running."""
        ...


class ToolBoxes(Protocol):
    """Opens a box for one execution, and closes what it opened at its end."""

    def open(self, place: ToolPlace) -> AbstractAsyncContextManager[ToolBox]: ...
