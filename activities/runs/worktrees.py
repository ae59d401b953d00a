"""Step 3 of the protocol: the run's worktree, locked, with the recorded tree; and the tree that a phase leaves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from activities.runs.context import Work, Worktree
from domain.errors import InvalidInput
from domain.pipelines.spec import CommandPhase, WorkPhase, writes_tree
from domain.runs.messages import PhaseInput
from domain.runs.ports import RunFacts
from domain.runs.words import PhaseStatus
from domain.workspaces.ports import Workspaces

LOCK_WAIT_SECONDS = 30.0
"""A lost execution's guard ends within seconds of its worker; a lock held longer is an error that says so."""


class Worktrees:
    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    @asynccontextmanager
    async def restored(self, phase: PhaseInput, spec: WorkPhase, run: RunFacts) -> AsyncIterator[Worktree]:
        facts = run.workspace
        if facts is None or run.base_commit is None or run.base_tree is None:
            raise InvalidInput(
                f"Phase `{spec.name}` needs a repository, but the run has no workspace.",
                hint="Start the run with a workspace or --repo.",
                field="workspace",
            )
        where, tree = (facts.workspace_id, run.run_id), phase.tree or run.base_tree
        path = await self._workspaces.prepare(*where, facts.repo_path, run.base_commit)
        async with self._workspaces.lock(*where, wait_seconds=LOCK_WAIT_SECONDS):
            changed: tuple[str, ...] = ()
            if isinstance(spec, CommandPhase) and spec.verifies and run.pipeline.protected:
                changed = await self._workspaces.restore_for_verification(
                    *where, tree, run.base_tree, run.pipeline.protected
                )
            else:
                await self._workspaces.restore(*where, tree)
            yield Worktree(facts, path, tree, run.base_tree, run.base_commit, changed)

    async def tree_after(self, phase: PhaseInput, spec: WorkPhase, worktree: Worktree, work: Work) -> str:
        """A verification, a review, a commit and a reply that could not be used leave the tree as it was recorded."""
        changed = work.status is PhaseStatus.PASSED if writes_tree(spec) else _command_that_may_write(spec)
        if not changed:
            return worktree.tree
        key = phase.key
        return await self._workspaces.snapshot(
            worktree.facts.workspace_id, key.run_id, label=f"{key.iteration}-{key.phase}-{key.attempt}"
        )


def _command_that_may_write(spec: WorkPhase) -> bool:
    return isinstance(spec, CommandPhase) and not spec.verifies
