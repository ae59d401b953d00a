"""One ticker per worker: each second it renews every lease held here in one statement and reads their cancel flags.

A holder that could not renew for TTL - 10 s stops its own work: by then another worker may be about to take over.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

import structlog

from activities.runs.stop import StopReason, StopSignal
from domain.errors import Unavailable
from domain.runs.messages import AttemptKey
from domain.runs.ports import Lease, PhaseLedger

TICK_SECONDS = 1.0
"""Cancel is seen after at most this long (bar: asked -> process tree dead in 3 s)."""
SAFETY_SECONDS = 10.0
"""Stop this long before the lease ends by itself."""

log = structlog.get_logger(__name__)


@dataclass
class _Held:
    key: AttemptKey
    lease: Lease
    stop: StopSignal
    heartbeat: Callable[[], None]
    renewed_at: float = field(default_factory=monotonic)


class LeaseTicker:
    """Start it with `run()` as a task of the worker; phases enter `watch`."""

    def __init__(self, ledger: PhaseLedger) -> None:
        self._ledger = ledger
        self._held: dict[object, _Held] = {}

    @asynccontextmanager
    async def watch(
        self, key: AttemptKey, lease: Lease, stop: StopSignal, heartbeat: Callable[[], None]
    ) -> AsyncIterator[None]:
        self._held[lease.token] = _Held(key, lease, stop, heartbeat)
        try:
            yield
        finally:
            del self._held[lease.token]

    async def run(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self.tick()

    async def tick(self) -> None:
        held = list(self._held.values())
        if not held:
            return
        for one in held:
            one.heartbeat()
        try:
            renewals = await self._ledger.renew([(one.key, one.lease) for one in held])
        except Unavailable as error:
            log.warning("lease.renewal_failed", leases=len(held), error=str(error))
            self._give_up_late_ones(held)
            return
        now = monotonic()
        for one, renewal in zip(held, renewals, strict=True):
            if not renewal.held:
                one.stop.stop(StopReason.LEASE_LOST)
                continue
            one.renewed_at = now
            if renewal.cancel_requested:
                one.stop.stop(StopReason.CANCELLED)

    def _give_up_late_ones(self, held: list[_Held]) -> None:
        now = monotonic()
        for one in held:
            if now - one.renewed_at > one.lease.ttl_seconds - SAFETY_SECONDS:
                one.stop.stop(StopReason.LEASE_LOST)
