"""Looking after one command while it runs: its clocks, its live output, its end."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from adapters.sandbox.output import BATCH_CHARACTERS, OutputWindow
from adapters.sandbox.process import GUARD_SECONDS, GuardProcess
from domain.sandbox.ports import CommandEnd

WATCH_SECONDS = 0.25
"""Period of looking at `should_stop`, at the stall clock, and of handing out live output."""
BUSY_CPU_SHARE = 0.015
"""Less CPU than this is waiting, not work: a sleeping poll loop must not look alive for ever."""


class Watched:
    """What is known of one command while it runs."""

    def __init__(self, window: OutputWindow, tap: Callable[[bytes], None] | None = None) -> None:
        self.window = window
        self._tap = tap
        self.began = time.monotonic()
        self.progress_at = self.began
        self.news = asyncio.Event()
        self.closing = asyncio.Event()
        """Set by who opened the command and needs it no more."""
        self._cpu = 0.0
        self._cpu_at = self.began

    def on_data(self, data: bytes) -> None:
        self.window.add(data)
        if self._tap is not None:
            self._tap(data)
        self.on_progress()
        if self.window.pending_bytes >= BATCH_CHARACTERS:
            self.news.set()

    def on_cpu(self, seconds: float) -> None:
        now = time.monotonic()
        if seconds - self._cpu > BUSY_CPU_SHARE * (now - self._cpu_at):
            self.progress_at = now
        self._cpu, self._cpu_at = seconds, now

    def on_progress(self) -> None:
        self.progress_at = time.monotonic()


async def watch(
    process: GuardProcess,
    watched: Watched,
    *,
    stall_seconds: float,
    on_output: Callable[[str], Awaitable[None]],
    should_stop: Callable[[], str | None],
    in_progress: Callable[[], bool],
) -> CommandEnd:
    """Until the tree is gone, whatever happens meanwhile. The end that we ordered, else EXITED."""
    listening = asyncio.create_task(process.listen())
    handing_out = asyncio.create_task(_hand_out(watched, on_output))
    closing = asyncio.create_task(watched.closing.wait())
    ends = (listening, handing_out, closing)
    ordered = CommandEnd.EXITED
    try:
        while not any(task.done() for task in ends) and ordered is CommandEnd.EXITED:
            await asyncio.wait(ends, timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            process.give_sign_of_life()
            if listening.done():
                break
            if process.command_pid is None or in_progress():  # it waits for the worktree's lock, or for an answer
                watched.on_progress()
            if closing.done() or should_stop() is not None:
                ordered = CommandEnd.KILLED
            elif time.monotonic() - watched.progress_at > stall_seconds:
                ordered = CommandEnd.STALLED
    finally:
        await _to_the_end(_finish(process, listening))
        for task in (handing_out, closing):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    return ordered


async def _hand_out(watched: Watched, on_output: Callable[[str], Awaitable[None]]) -> None:
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
