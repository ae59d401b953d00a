"""What a run's commands are not protected from, said once per run as a warning of it (page, CLI and API show it)."""

from uuid import UUID

from activities.runs.context import PhaseContext
from domain.runs.ports import RunWarnings
from domain.sandbox.ports import Command, Sandbox, shell

MOST_REMEMBERED = 10_000
"""Runs; a forgotten one is asked about again, and the record says it once all the same."""


class ProtectionNotice:
    def __init__(self, *, sandbox: Sandbox, warnings: RunWarnings) -> None:
        self._sandbox = sandbox
        self._warnings = warnings
        self._told: set[tuple[UUID, str]] = set()

    async def tell(self, context: PhaseContext) -> None:
        """Before the first command of a phase in its worktree."""
        command = Command(argv=shell(""), cwd=context.tree.path, time_limit_seconds=1, stall_seconds=1)
        gaps = self._sandbox.protection(command).gaps
        message = f"Not protected: {' '.join(gaps)}"
        told = (context.key.run_id, message)
        if not gaps or told in self._told:
            return
        await self._warnings.warn(context.key.org_id, context.key.run_id, message)
        if len(self._told) >= MOST_REMEMBERED:
            self._told.clear()
        self._told.add(told)
