"""Why a phase in flight must end now: asked by a person, or because its lease no longer holds."""

import asyncio
from collections.abc import Awaitable
from enum import StrEnum
from typing import TypeVar

Answer = TypeVar("Answer")


class StopReason(StrEnum):
    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    SHUTDOWN = "shutdown"


class Stopped(Exception):
    """Raised inside a phase when it was told to stop; `output` is what it had said until then."""

    def __init__(self, reason: StopReason, output: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.output = output


class StopSignal:
    """Set once; the first reason wins."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason: StopReason | None = None

    def stop(self, reason: StopReason) -> None:
        if self.reason is None:
            self.reason = reason
            self._event.set()

    def asked(self) -> str | None:
        """For pollers (the sandbox): the reason, or None."""
        return self.reason

    async def race(self, work: Awaitable[Answer]) -> Answer:
        """Awaits the work; when the signal comes first, cancels it and raises Stopped."""
        if self.reason is not None:
            asyncio.ensure_future(work).cancel()
            raise Stopped(self.reason)
        task = asyncio.ensure_future(work)
        signal = asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait({task, signal}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            signal.cancel()
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait({task})
        assert self.reason is not None
        raise Stopped(self.reason)
