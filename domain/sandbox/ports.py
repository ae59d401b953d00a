"""The port of running a command in a worktree under the guard (DESIGN 5.6)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from domain.base import Frozen


class CommandEnd(StrEnum):
    EXITED = "exited"
    TIME_LIMIT = "time_limit"
    STALLED = "stalled"
    KILLED = "killed"
    """By us: cancel, lost lease, or shutdown."""


class ResourceLimits(Frozen):
    open_files: int | None = 4096
    processes: int | None = 2048
    file_bytes: int | None = 10 * 1024**3


class Command(Frozen):
    argv: tuple[str, ...]
    """A shell command line is ("/bin/sh", "-c", text)."""
    cwd: Path
    env: dict[str, str] = {}
    """Added to the scrubbed environment (PATH, HOME, LANG, TMPDIR and nothing else of ours)."""
    time_limit_seconds: float
    stall_seconds: float
    head_bytes: int = 256 * 1024
    tail_bytes: int = 256 * 1024
    limits: ResourceLimits = ResourceLimits()
    home: Path | None = None
    """HOME of the command, kept afterwards; None: a fresh folder that is removed with the command's TMPDIR."""
    lock: Path | None = None
    """Lock file of the worktree, held while any process of the tree lives. A command that finds it taken waits a
    little and then ends the earlier tree: the permit has passed on, so it is the earlier one that is too late."""


class CommandResult(Frozen):
    end: CommandEnd
    exit_code: int | None
    signal: str | None
    """Name, as SIGKILL, when a signal ended it."""
    output: str
    """Head and tail, redacted, with one line that says how many bytes were left out between them."""
    left_out_bytes: int
    run_seconds: float
    cpu_seconds: float
    tail: str
    """Last 5 lines."""


class Sandbox(Protocol):
    async def run(
        self,
        command: Command,
        *,
        on_output: Callable[[str], Awaitable[None]],
        should_stop: Callable[[], str | None],
        on_data: Callable[[bytes], None] | None = None,
        in_progress: Callable[[], bool] | None = None,
    ) -> CommandResult:
        """Starts the command under the guard. `on_output` gets redacted text, batched (250 ms or 32 KB), at most
        head_bytes of it live plus the tail at the end. `should_stop` is asked at least once a second; a reason
        ends the tree (CommandEnd.KILLED). When it returns, no process of the tree lives. Raises
        PhaseFailure(sandbox) when the command cannot be started at all.

        `on_data` gets every byte as it comes, in full and not redacted: for a reader of an event stream, which must
        neither raise nor wait. `in_progress` true means that something outside works for the command (a model call
        in flight): its silence is no stall."""
        ...


def shell(text: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", text)


Environment = Mapping[str, str]
Argv = Sequence[str]
