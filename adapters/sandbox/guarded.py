"""The Sandbox port: one command under one guard."""

import asyncio
import contextlib
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from adapters.sandbox import bubblewrap
from adapters.sandbox import scratch as scratch_folders
from adapters.sandbox.output import BATCH_CHARACTERS, OutputWindow
from adapters.sandbox.process import GUARD_SECONDS, GuardProcess
from domain.errors import PhaseFailure
from domain.redaction import Redactor
from domain.runs.failure import ErrorKind, PhaseError
from domain.sandbox.ports import Command, CommandEnd, CommandResult, shell

WATCH_SECONDS = 0.25
"""Period of looking at `should_stop`, at the stall clock, and of handing out live output."""
GRACE_SECONDS = 1.0
"""Between TERM and KILL; with the watch period it keeps a cancelled tree's end well below 3 s."""
SILENCE_SECONDS = 50.0
"""A guard that hears nothing from its worker for so long (stopped, or swapped out) ends the tree: the lease of 60 s
is about to pass to another worker."""
LOCK_WAIT_SECONDS = 2.0
"""How long a command waits for an earlier tree on its worktree before it ends that one."""
BUSY_CPU_SHARE = 0.015
"""Less CPU than this is waiting, not work: a sleeping poll loop must not look alive for ever."""
MARK_VARIABLE = "SANDBOX_COMMAND"
"""In every command's environment: by it a tree is found again when both of its guards were killed."""


class _Watched:
    """What is known of one command while it runs."""

    def __init__(self, window: OutputWindow, tap: Callable[[bytes], None] | None) -> None:
        self.window = window
        self._tap = tap
        self.began = time.monotonic()
        self.progress_at = self.began
        self.news = asyncio.Event()
        self._cpu = 0.0
        self._cpu_at = self.began

    def on_data(self, data: bytes) -> None:
        self.window.add(data)
        if self._tap is not None:
            self._tap(data)
        self.progress_at = time.monotonic()
        if self.window.pending_bytes >= BATCH_CHARACTERS:
            self.news.set()

    def on_cpu(self, seconds: float) -> None:
        now = time.monotonic()
        if seconds - self._cpu > BUSY_CPU_SHARE * (now - self._cpu_at):
            self.progress_at = now
        self._cpu, self._cpu_at = seconds, now


class GuardedSandbox:
    """Implements domain.sandbox.ports.Sandbox.

    `search_path` is the commands' PATH. `scratch` is where their TMPDIR and, if none is given, HOME are made (a short
    path, since sockets are made there); None: the system's folder for temporary files. `bubblewrap_mode`: `auto` uses
    it where it works, `off` never.
    """

    def __init__(
        self,
        redactor: Redactor,
        *,
        search_path: str,
        scratch: Path | None = None,
        bubblewrap_mode: Literal["auto", "off"] = "auto",
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._redactor = redactor
        self._search_path = search_path
        self._scratch = scratch
        self._bubblewrap = bubblewrap_mode == "auto"
        self._silence_seconds = silence_seconds

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
        watched = _Watched(OutputWindow(self._redactor, command.head_bytes, command.tail_bytes), on_data)
        folder = Path(tempfile.mkdtemp(prefix="mw-", dir=self._scratch))
        mark = f"{MARK_VARIABLE}={uuid4()}"
        process = GuardProcess(mark, watched.on_data, watched.on_cpu)
        try:
            try:
                await process.start(await self._request(command, mark, folder))
            except OSError as error:
                raise self._refused(command, str(error)) from error
            end = await self._watch(process, command, watched, on_output, should_stop, in_progress or _nothing)
        finally:
            await asyncio.to_thread(scratch_folders.remove_folder, str(folder))
        run_seconds = time.monotonic() - watched.began
        if process.refused is not None:
            raise self._refused(command, process.refused)
        for piece in await asyncio.to_thread(watched.window.finish):
            await on_output(piece)
        return self._result(process, command, watched.window, end, run_seconds)

    async def _request(self, command: Command, mark: str, folder: Path) -> dict[str, Any]:
        words: tuple[str, ...] = ()
        if self._bubblewrap:
            words = await asyncio.to_thread(bubblewrap.wrapper, self._search_path)
        home, temporary = command.home or folder / "home", folder / "tmp"
        name, _, value = mark.partition("=")
        return {
            "argv": list(command.argv),
            "wrapper": list(words),
            "cwd": str(command.cwd),
            "env": {
                "PATH": self._search_path,
                "HOME": str(home),
                "LANG": "C.UTF-8",
                "TMPDIR": str(temporary),
                **command.env,
                name: value,
            },
            "limits": command.limits.model_dump(),
            "time_limit_seconds": command.time_limit_seconds,
            "grace_seconds": GRACE_SECONDS,
            "silence_seconds": self._silence_seconds,
            "lock": str(command.lock) if command.lock else None,
            "lock_wait_seconds": LOCK_WAIT_SECONDS,
            "mark": mark,
            "make": [str(home), str(temporary)],
            "remove": str(folder),
        }

    async def _watch(
        self,
        process: GuardProcess,
        command: Command,
        watched: _Watched,
        on_output: Callable[[str], Awaitable[None]],
        should_stop: Callable[[], str | None],
        in_progress: Callable[[], bool],
    ) -> CommandEnd:
        """Until the tree is gone, whatever happens meanwhile. The end that we ordered, else EXITED."""
        listening = asyncio.create_task(process.listen())
        handing_out = asyncio.create_task(_hand_out(watched, on_output))
        ordered = CommandEnd.EXITED
        try:
            while not listening.done() and not handing_out.done() and ordered is CommandEnd.EXITED:
                await asyncio.wait((listening, handing_out), timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                process.give_sign_of_life()
                if listening.done():
                    break
                if process.command_pid is None or in_progress():  # it waits for the worktree's lock, or for an answer
                    watched.progress_at = time.monotonic()
                if should_stop() is not None:
                    ordered = CommandEnd.KILLED
                elif time.monotonic() - watched.progress_at > command.stall_seconds:
                    ordered = CommandEnd.STALLED
        finally:
            await _to_the_end(_finish(process, listening))
            handing_out.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await handing_out
        return ordered

    def _result(
        self, process: GuardProcess, command: Command, window: OutputWindow, ordered: CommandEnd, run_seconds: float
    ) -> CommandResult:
        account = process.end
        if account is None or account["reason"] in ("stopped", "orphaned", "silent"):
            why = process.lost or {
                "stopped": "it was told to by a signal, or a later command took over its worktree",
                "orphaned": "its worker closed the pipe",
                "silent": f"its worker was stopped for more than {self._silence_seconds:.0f} s",
            }.get(account["reason"] if account else "", "its guard was killed")
            raise PhaseFailure(
                PhaseError(
                    kind=ErrorKind.SANDBOX,
                    message=f"The command {self._shown(command)} was ended from outside: {why}.",
                    excerpt=self._redactor.redact(window.last_lines),
                    hint="Every process that it had started is gone; it is run again.",
                )
            )
        end = {"exited": CommandEnd.EXITED, "time_limit": CommandEnd.TIME_LIMIT}.get(account["reason"], ordered)
        number = account["signal"]
        return CommandResult(
            end=end,
            exit_code=account["exit_code"],
            signal=None if number is None else _signal_name(number),
            output=window.text,
            left_out_bytes=window.left_out_bytes,
            run_seconds=run_seconds,
            cpu_seconds=account["cpu_seconds"],
            tail=window.last_lines,
        )

    def _refused(self, command: Command, why: str) -> PhaseFailure:
        return PhaseFailure(
            PhaseError(
                kind=ErrorKind.SANDBOX,
                message=f"The command {self._shown(command)} could not be started: {self._redactor.redact(why)}.",
                hint="Check that the program exists on the worker's PATH and that the worktree is there.",
            )
        )

    def _shown(self, command: Command) -> str:
        """Redacted before it is cut: a part of a secret is not recognized."""
        text = self._redactor.redact(command.argv[-1] if command.argv[:2] == shell("")[:2] else " ".join(command.argv))
        return repr(text if len(text) <= 200 else text[:200] + "…")


def _nothing() -> bool:
    return False


async def _hand_out(watched: _Watched, on_output: Callable[[str], Awaitable[None]]) -> None:
    """Live output: every WATCH_SECONDS, or as soon as a batch is full."""
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(watched.news.wait(), WATCH_SECONDS)
        watched.news.clear()
        for piece in watched.window.take_live():
            await on_output(piece)


async def _finish(process: GuardProcess, listening: asyncio.Task[None]) -> None:
    if not listening.done():
        process.order_end()
        await asyncio.wait((listening,), timeout=GUARD_SECONDS)
    if not listening.done():
        process.kill_guard()
    await listening


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Awaits `work` through any number of cancellations, then lets the cancellation go on."""
    task = asyncio.create_task(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    task.result()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
