"""Holding a call's permit while the provider works: renewed in time, given up when it cannot be."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic
from typing import Any

from domain.errors import Unavailable
from domain.models.messages import CallRefused, ModelReply
from domain.models.ports import CALL_LEASE_SECONDS
from domain.runs.failure import ErrorKind, PhaseError

_RENEW_SECONDS = CALL_LEASE_SECONDS / 3
"""Two renewals may fail before the permit is at risk."""
_GIVE_UP_SECONDS = CALL_LEASE_SECONDS - 10
"""Without a renewal for so long the call is ended, before someone else may take its place."""
_STOP_SECONDS = 2.0
"""What a cancelled provider call gets to close its connection."""


async def hold(
    asked: Coroutine[Any, Any, ModelReply],
    *,
    renew: Callable[[], Awaitable[bool]],
    timeout_seconds: float,
    what: str,
    renew_seconds: float = _RENEW_SECONDS,
    give_up_seconds: float = _GIVE_UP_SECONDS,
) -> ModelReply:
    """The provider's reply. Raises what it raises, and CallRefused `timeout` or `worker_lost` (permit gone)."""
    task = asyncio.create_task(asked)
    started = held_at = monotonic()
    try:
        while True:
            left = started + timeout_seconds - monotonic()
            done, _ = await asyncio.wait({task}, timeout=max(0.0, min(left, renew_seconds)))
            if done:
                return task.result()
            now = monotonic()
            if now >= started + timeout_seconds:
                raise _timeout(what, timeout_seconds)
            try:
                held = await renew()
            except Unavailable:
                held = now < held_at + give_up_seconds
            else:
                held_at = now
            if not held:
                raise _permit_gone(what)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_STOP_SECONDS)
        if task.done() and not task.cancelled():
            task.exception()  # seen: what ended the call is raised instead


def _timeout(what: str, seconds: float) -> CallRefused:
    error = PhaseError(
        kind=ErrorKind.TIMEOUT,
        message=f"Model `{what}` did not answer within {seconds:g} s.",
        hint="Ask for less in one call, choose a faster model, or raise the call's time limit.",
    )
    return CallRefused(error, maybe_billed=True)


def _permit_gone(what: str) -> CallRefused:
    error = PhaseError(
        kind=ErrorKind.WORKER_LOST,
        message=f"The call to `{what}` lost its permit: it was taken over, or the record could not be reached in time.",
        hint="It is tried again; look at PostgreSQL if this repeats.",
    )
    return CallRefused(error, maybe_billed=True)
