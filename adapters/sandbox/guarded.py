"""The Sandbox port: one command under one guard."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from adapters.sandbox import means as machine
from adapters.sandbox import scratch as scratch_folders
from adapters.sandbox import view
from adapters.sandbox.account import Account
from adapters.sandbox.limits import memory_share
from adapters.sandbox.open_process import GuardedProcess, Pipes
from adapters.sandbox.output import OutputWindow
from adapters.sandbox.process import GuardProcess
from adapters.sandbox.watch import Watched, watch
from domain.redaction import Redactor
from domain.sandbox.ports import Command, CommandResult, NetworkAccess, OpenProcess, Protection, ResourceLimits

GRACE_SECONDS = 1.0
"""Between TERM and KILL; with the watch period it keeps a cancelled tree's end well below 3 s."""
SILENCE_SECONDS = 50.0
"""A guard that hears nothing from its worker for so long (stopped, or swapped out) ends the tree: the lease of 60 s
is about to pass to another worker."""
LOCK_WAIT_SECONDS = 2.0
"""How long a command waits for an earlier tree on its worktree before it ends that one."""
MARK_VARIABLE = "SANDBOX_COMMAND"
"""In every command's environment: by it a tree is found again when both of its guards were killed."""


class GuardedSandbox:
    """Implements domain.sandbox.ports.Sandbox.

    `search_path` is the commands' PATH. `scratch` is where their TMPDIR and, if none is given, HOME are made (a short
    path, since sockets are made there); None: the system's folder for temporary files. `worktrees` and `hidden` are as
    in adapters.sandbox.view.Places. `limits` count for commands that name none; without a limit of memory
    theirs is most of the machine's.
    """

    def __init__(
        self,
        redactor: Redactor,
        *,
        search_path: str,
        scratch: Path | None = None,
        bubblewrap_mode: machine.Mode = "auto",
        silence_seconds: float = SILENCE_SECONDS,
        worktrees: Path | None = None,
        hidden: tuple[Path, ...] = (),
        limits: ResourceLimits | None = None,
    ) -> None:
        self._redactor = redactor
        self._places = view.Places(search_path=search_path, worktrees=worktrees, hidden=hidden)
        self._scratch = scratch
        self._mode = bubblewrap_mode
        self._means = machine.find(bubblewrap_mode, search_path)
        self._silence_seconds = silence_seconds
        self._limits = limits or ResourceLimits()
        if self._limits.memory_bytes is None:
            self._limits = self._limits.model_copy(update={"memory_bytes": memory_share()})
        self._account = Account(redactor, silence_seconds)

    def protection(self, command: Command) -> Protection:
        """See domain.sandbox.ports.Sandbox.protection."""
        folders = self._folders(command)
        return self._means.protection(command, folders, self._places.are_ours(folders))

    async def run(
        self,
        command: Command,
        *,
        on_output: Callable[[str], Awaitable[None]],
        should_stop: Callable[[], str | None],
        on_data: Callable[[bytes], None] | None = None,
        in_progress: Callable[[], bool] | None = None,
    ) -> CommandResult:
        """See domain.sandbox.ports.Sandbox.run. An error of `on_output` or `should_stop` ends the tree first."""
        watched = Watched(OutputWindow(self._redactor, command.head_bytes, command.tail_bytes), on_data)
        process = self._process(watched)
        return await self._to_its_end(process, command, watched, on_output, should_stop, in_progress or _nothing)

    @contextlib.asynccontextmanager
    async def open(
        self, command: Command, *, should_stop: Callable[[], str | None] | None = None
    ) -> AsyncIterator[OpenProcess]:
        """See domain.sandbox.ports.Sandbox.open."""
        watched = Watched(OutputWindow(self._redactor, command.head_bytes, command.tail_bytes))
        process = self._process(watched)
        pipes = Pipes(watched.on_progress)
        result: asyncio.Task[CommandResult] | None = None
        try:
            await pipes.connect()
            result = asyncio.create_task(
                self._to_its_end(process, command, watched, _ignore, should_stop or _no_reason, _nothing, pipes)
            )
            await process.decided.wait()
            if process.command_pid is None:
                await result
            yield GuardedProcess(pipes, result, watched.window)
        finally:
            watched.closing.set()
            if result is not None:
                await asyncio.wait((result,))
                result.cancelled() or result.exception()  # who asked for the result was told
            await pipes.close()

    def _process(self, watched: Watched) -> GuardProcess:
        return GuardProcess(f"{MARK_VARIABLE}={uuid4()}", watched.on_data, watched.on_cpu)

    async def _to_its_end(
        self,
        process: GuardProcess,
        command: Command,
        watched: Watched,
        on_output: Callable[[str], Awaitable[None]],
        should_stop: Callable[[], str | None],
        in_progress: Callable[[], bool],
        pipes: Pipes | None = None,
    ) -> CommandResult:
        folder = Path(tempfile.mkdtemp(prefix="mw-", dir=self._scratch))
        try:
            try:
                request = self._request(command, process.mark, folder)
                await process.start(request, pipes.command_ends if pipes else ())
            except OSError as error:
                raise self._account.refused(command, str(error)) from error
            finally:
                if pipes is not None:
                    pipes.close_command_ends()
            end = await watch(
                process,
                watched,
                stall_seconds=command.stall_seconds,
                on_output=on_output,
                should_stop=should_stop,
                in_progress=in_progress,
            )
        finally:
            process.decided.set()
            await asyncio.to_thread(scratch_folders.remove_folder, str(folder))
        run_seconds = time.monotonic() - watched.began
        window = watched.window
        pieces = await asyncio.to_thread(window.finish)
        limit = self._account.limit(process, command.limits or self._limits, window)
        for piece in pieces + (window.add_line(f"[{limit}]") if limit else []):
            await on_output(piece)
        return self._account.result(process, command, window, end, run_seconds, limit)

    def _folders(self, command: Command) -> tuple[Path, ...]:
        """What the command owns and we keep: its worktree and a HOME that was given."""
        worktree = self._places.worktree(command.cwd)
        return (worktree,) if command.home is None else (worktree, command.home)

    def _refusal(self, command: Command) -> str | None:
        boxed = self._means.bubblewrap is not None
        if not boxed and self._mode == "always":
            return f"it must run under bubblewrap, but {self._means.no_bubblewrap}"
        if not boxed and command.network is NetworkAccess.NONE:
            return f"it must not reach the network, which bubblewrap alone can hold, but {self._means.no_bubblewrap}"
        return self._places.refused(self._places.worktree(command.cwd)) if boxed else None

    def _request(self, command: Command, mark: str, folder: Path) -> dict[str, Any]:
        """Raises OSError for a command that may not be run as it is asked for."""
        if (refusal := self._refusal(command)) is not None:
            raise OSError(refusal)
        means, folders = self._means, self._folders(command)
        ours = self._places.are_ours(folders)
        own_user = means.own_user(folders, ours)
        home, temporary = command.home or folder / "home", folder / "tmp"
        if command.home is not None:
            command.home.mkdir(parents=True, mode=0o700, exist_ok=True)
        words: list[str] = []
        if means.bubblewrap:
            words = view.words(means.bubblewrap, means.drop, self._places, command, own=folder, home=home)
        name, _, value = mark.partition("=")
        return {
            "argv": list(command.argv),
            "wrapper": words,
            "cwd": str(command.cwd),
            "env": {
                "PATH": self._places.search_path,
                "HOME": str(home),
                "LANG": "C.UTF-8",
                "TMPDIR": "/tmp" if words else str(temporary),
                **command.env,
                name: value,
            },
            "limits": (command.limits or self._limits).model_dump(),
            "time_limit_seconds": command.time_limit_seconds,
            "grace_seconds": GRACE_SECONDS,
            "silence_seconds": self._silence_seconds,
            "lock": str(command.lock) if command.lock else None,
            "lock_wait_seconds": LOCK_WAIT_SECONDS,
            "mark": mark,
            "make": [str(home), str(temporary)],
            "remove": str(folder),
            "users": means.users if own_user else None,
            "show": [str(each) for each in folders if each.is_dir()],
            "may_give": ours,
            # what is shown stays ours on disk, set-user-id bits too: not where other users of the machine get to it
            "may_show": not ours or not any(machine.passable(each) for each in folders),
        }


def _nothing() -> bool:
    return False


def _no_reason() -> None:
    return None


async def _ignore(_: str) -> None:
    return None
