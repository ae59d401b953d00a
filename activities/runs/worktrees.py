"""Step 3 of the protocol: the run's worktree, locked, with the recorded tree; and the tree that a phase leaves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from activities.runs.context import Work, Worktree
from activities.runs.packs import TreeKeeper, placed
from domain.errors import PhaseFailure
from domain.pipelines.spec import CommandPhase, WorkPhase, writes_tree
from domain.runs.messages import PhaseInput
from domain.runs.ports import RunFacts
from domain.runs.words import PhaseStatus
from domain.workspaces.packs import KeptTree
from domain.workspaces.ports import Workspaces

LOCK_WAIT_SECONDS = 30.0
"""A lost execution's guard ends within seconds of its worker; a lock held longer is an error that says so."""


class Worktrees:
    def __init__(self, workspaces: Workspaces, trees: TreeKeeper) -> None:
        self._workspaces = workspaces
        self._trees = trees

    @asynccontextmanager
    async def restored(self, phase: PhaseInput, spec: WorkPhase, run: RunFacts) -> AsyncIterator[Worktree]:
        """Also on a worker that never saw this run: what is missing here is built from the artifact store."""
        facts, base_commit, base_tree = placed(run)
        tree = phase.tree or base_tree
        path = await self._trees.prepared(run)
        async with self._workspaces.lock(facts.workspace_id, run.run_id, wait_seconds=LOCK_WAIT_SECONDS):
            try:
                changed = await self._restore(run, spec, tree)
            except PhaseFailure:
                if not await self._trees.recovered(run, tree):
                    raise
                changed = await self._restore(run, spec, tree)
            yield Worktree(facts, path, tree, base_tree, base_commit, changed)

    async def tree_after(
        self, phase: PhaseInput, spec: WorkPhase, worktree: Worktree, work: Work, run: RunFacts
    ) -> KeptTree:
        """A verification, a review, a commit and a reply that could not be used leave the tree as it was recorded.
        What changed is in the artifact store before the tree is named."""
        changed = work.status is PhaseStatus.PASSED if writes_tree(spec) else _command_that_may_write(spec)
        if not changed:
            return KeptTree(tree=worktree.tree)
        key = phase.key
        tree = await self._workspaces.snapshot(
            worktree.facts.workspace_id, key.run_id, label=f"{key.iteration}-{key.phase}-{key.attempt}"
        )
        return await self._trees.kept(run, known_tree=worktree.tree, tree=tree)

    async def _restore(self, run: RunFacts, spec: WorkPhase, tree: str) -> tuple[str, ...]:
        """The protected files that the run changed, when the phase verifies."""
        facts, _, base_tree = placed(run)
        where, protected = (facts.workspace_id, run.run_id), run.pipeline.protected
        if isinstance(spec, CommandPhase) and spec.verifies and protected:
            return await self._workspaces.restore_for_verification(*where, tree, base_tree, protected)
        await self._workspaces.restore(*where, tree)
        return ()


def _command_that_may_write(spec: WorkPhase) -> bool:
    return isinstance(spec, CommandPhase) and not spec.verifies
