"""The janitor: now and then reclaims the clean worktrees of runs that have ended. Dirty ones are never deleted."""

import asyncio
from collections.abc import Collection
from typing import Protocol
from uuid import UUID

import structlog

from adapters.workspace.workspaces import GitWorkspaces
from domain.errors import MillwrightError

PERIOD_SECONDS = 300.0

log = structlog.get_logger(__name__)


class KnownRuns(Protocol):
    """What the record says of the runs whose worktrees may lie on this disk."""

    async def active(self, candidates: Collection[UUID]) -> Collection[UUID]: ...

    async def finished(self, candidates: Collection[UUID]) -> Collection[UUID]: ...


class Janitor:
    def __init__(self, workspaces: GitWorkspaces, known: KnownRuns, *, period_seconds: float = PERIOD_SECONDS) -> None:
        self._workspaces = workspaces
        self._known = known
        self._period_seconds = period_seconds

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.clean_once()
            except MillwrightError as error:
                log.warning("janitor.failed", error=error.message)
            await asyncio.sleep(self._period_seconds)

    async def clean_once(self) -> None:
        here = await self._workspaces.runs_on_disk()
        if not here:
            return
        finished = await self._known.finished(here)
        report = await self._workspaces.clean_up(finished=finished, active=await self._known.active(here))
        if report.reclaimed or report.kept or report.orphaned:
            log.info(
                "janitor.cleaned",
                reclaimed=len(report.reclaimed),
                kept=[f"{one.path}: {one.reason}" for one in report.kept],
                orphaned=[f"{one.path}: {one.reason}" for one in report.orphaned],
            )
