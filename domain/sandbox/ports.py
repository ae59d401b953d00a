"""The port of running a command in a worktree under the guard (DESIGN 5.6)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from domain.base import Frozen


class CommandEnd(StrEnum):
    EXITED = "exited"
    TIME_LIMIT = "time_limit"
    STALLED = "stalled"
    CPU_LIMIT = "cpu_limit"
    MEMORY_LIMIT = "memory_limit"
    PROCESS_LIMIT = "process_limit"
    """Only where the kernel does not hold it; else the command is refused more processes, and goes on."""
    KILLED = "killed"
    """By us: cancel, lost lease, or shutdown."""


class NetworkAccess(StrEnum):
    SHARED = "shared"
    """That of the machine."""
    NONE = "none"
    """A network of its own with nothing but loopback; `Command.sockets` lead out of it."""


class ResourceLimits(Frozen):
    """None: no limit of ours."""

    open_files: int | None = 4096
    processes: int | None = 2048
    """Processes and threads alive at one time."""
    file_bytes: int | None = 10 * 1024**3
    """Of one file."""
    memory_bytes: int | None = None
    """Of the whole tree together, as cpu_seconds. Looked at four times a second: a fast one is a little above."""
    cpu_seconds: float | None = None


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
    limits: ResourceLimits | None = None
    """None: the worker's."""
    home: Path | None = None
    """HOME of the command, kept afterwards; None: a fresh folder that is removed with the command's TMPDIR."""
    lock: Path | None = None
    """Lock file of the worktree, held while any process of the tree lives. A command that finds it taken waits a
    little and then ends the earlier tree: the permit has passed on, so it is the earlier one that is too late."""
    network: NetworkAccess = NetworkAccess.SHARED
    """NONE where it cannot be held is refused: ask `Sandbox.protection` first."""
    sockets: tuple[Path, ...] = ()
    """Unix sockets that the command reaches at their own paths, whatever else it does not see."""
    readable: tuple[Path, ...] = ()
    """Files and folders beside the worktree that it may read and run, at their own paths."""


class Protection(Frozen):
    """What holds for a command, and in words for a person what does not."""

    own_user: bool
    """An unprivileged user that nothing else runs as."""
    own_processes: bool
    """It sees and signals no process but its own tree."""
    own_files: bool
    """It sees the worktree, the system's programs and what it was given; writes the worktree and its own folders."""
    own_network: bool
    gaps: tuple[str, ...] = ()
    """One sentence each, e.g. "Commands run as the same user as Millwright."."""


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
    limit: str | None = None
    """Which limit it reached, as a sentence, where that can be known; the output ends with it too."""


class Sandbox(Protocol):
    def protection(self, command: Command) -> Protection:
        """What will hold for this command on this machine."""
        ...

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

    def open(
        self, command: Command, *, should_stop: Callable[[], str | None] | None = None
    ) -> AbstractAsyncContextManager["OpenProcess"]:
        """A command that is talked to by its standard input and output (a tool server), under the same guard.

        Entering waits for the command to run, or raises PhaseFailure(sandbox). Leaving ends its whole tree (TERM, 1 s,
        KILL), whatever it does. A server that may be quiet for ever has `stall_seconds=math.inf`."""
        ...


class OpenProcess(Protocol):
    """A command that runs while its context is open."""

    async def read(self, most_bytes: int = 65_536) -> bytes:
        """What it wrote to standard output, at least one byte; b"" at its end. What is not read fills the pipe and
        then holds the command up, never our memory."""
        ...

    async def write(self, data: bytes) -> None:
        """To its standard input; waits while the pipe is full. Raises OSError where it is known that nobody reads."""
        ...

    def close_input(self) -> None:
        """End of file for the command. May be repeated."""
        ...

    async def ended(self) -> CommandResult:
        """Waits until no process of the tree lives. Its `output` is what was written to standard error, redacted.
        Raises PhaseFailure(sandbox) when the tree was ended from outside."""
        ...

    @property
    def last_words(self) -> str:
        """The last 5 lines of standard error so far, redacted."""
        ...


def shell(text: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", text)


Environment = Mapping[str, str]
Argv = Sequence[str]
