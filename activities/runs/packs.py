"""Trees of a run on any worker: what is new in them goes to the artifact store, and comes back where it is missing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from domain.artifacts.ports import FileArtifactStore
from domain.errors import InvalidInput, PhaseFailure
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.ports import ArtifactRef, RunFacts, WorkspaceFacts
from domain.workspaces.packs import (
    BRANCH_BUNDLE,
    BUNDLE_MEDIA_TYPE,
    PACK_MEDIA_TYPE,
    Checkpoint,
    KeptTree,
    Packing,
    PackRecord,
    StoredRun,
    pack_name,
    way_to,
)
from domain.workspaces.ports import Workspaces


class TreeKeeper:
    """The port TreeKeeping, and what the protocol itself needs of stored trees."""

    def __init__(
        self, *, workspaces: Workspaces, packing: Packing, record: PackRecord, artifacts: FileArtifactStore
    ) -> None:
        self._workspaces = workspaces
        self._packing = packing
        self._record = record
        self._artifacts = artifacts
        self._bases: dict[tuple[UUID, str], asyncio.Lock | None] = {}
        """None: known to be stored."""

    async def prepared(self, run: RunFacts) -> Path:
        """The run's worktree. A base that the user's repository does not give (it is on another machine, or was
        rewritten) comes from the store. Raises InvalidInput, PhaseFailure, Unavailable."""
        facts, base_commit, base_tree = placed(run)
        where = (facts.workspace_id, run.run_id)
        try:
            return await self._workspaces.prepare(*where, facts.repo_path, base_commit)
        except (InvalidInput, PhaseFailure):
            if await self._packing.has_tree(*where, base_tree):
                raise
            stored = await self._record.stored(run.org_id, run.run_id)
            if stored.base_sha256 is None:
                raise
            await self._rebuild(run, stored, base_tree)
        return await self._workspaces.prepare(*where, facts.repo_path, base_commit)

    async def checkpoint(self, run: RunFacts, *, label: str, known_tree: str) -> KeptTree:
        facts, _, _ = placed(run)
        made = await self._packing.checkpoint(facts.workspace_id, run.run_id, label=label, known_tree=known_tree)
        return await self._kept(run, made)

    async def kept(self, run: RunFacts, *, known_tree: str, tree: str) -> KeptTree:
        """All that a phase changed, as one pack, whatever checkpoints lie between."""
        if tree == known_tree:
            return KeptTree(tree=tree)
        facts, _, _ = placed(run)
        return await self._kept(
            run, await self._packing.fold(facts.workspace_id, run.run_id, known_tree=known_tree, tree=tree)
        )

    async def restore(self, run: RunFacts, tree: str) -> None:
        facts, _, _ = placed(run)
        try:
            await self._workspaces.restore(facts.workspace_id, run.run_id, tree)
        except PhaseFailure:
            if not await self.recovered(run, tree):
                raise
            await self._workspaces.restore(facts.workspace_id, run.run_id, tree)

    async def recovered(self, run: RunFacts, tree: str) -> bool:
        """False: this worker had the tree. True: it was missing, and has been built from its packs."""
        facts, _, _ = placed(run)
        if await self._packing.has_tree(facts.workspace_id, run.run_id, tree):
            return False
        await self._rebuild(run, await self._record.stored(run.org_id, run.run_id), tree)
        return True

    async def branch_kept(self, run: RunFacts) -> ArtifactRef:
        """The commits of the run's branch, for whoever goes on with it: another worker, or a person."""
        facts, base_commit, _ = placed(run)
        assert run.branch is not None, "a run with a workspace has a branch"
        bundle = await self._packing.bundle(facts.workspace_id, run.run_id, branch=run.branch, base_commit=base_commit)
        return await self._put(run.org_id, bundle, BRANCH_BUNDLE, BUNDLE_MEDIA_TYPE)

    async def branch_recovered(self, run: RunFacts) -> None:
        """The run's branch here has at least the commits that are recorded."""
        facts, _, _ = placed(run)
        where, branch = (facts.workspace_id, run.run_id), run.branch
        assert branch is not None, "a run with a workspace has a branch"
        tip = (await self._record.stored(run.org_id, run.run_id)).tip
        if tip is None or await self._packing.has_commit(*where, branch=branch, commit=tip.commit):
            return
        async with self._fetched(run, tip.sha256) as bundle:
            await self._packing.rebuild_branch(*where, branch=branch, bundle=bundle, commit=tip.commit)

    async def _rebuild(self, run: RunFacts, stored: StoredRun, tree: str) -> None:
        facts, base_commit, base_tree = placed(run)
        where = (facts.workspace_id, run.run_id)
        way = way_to(tree, base_tree, stored.packs)
        if way is None:
            raise PhaseFailure(_not_stored(tree))
        base_here = await self._packing.has_tree(*where, base_tree)
        base_sha256 = None if base_here else stored.base_sha256
        wanted = [*([base_sha256] if base_sha256 else []), *(edge.sha256 for edge in way)]
        files: list[Path] = []
        try:
            for sha256 in wanted:
                files.append(await self._fetch(run, sha256))
            base, packs = (files[0], files[1:]) if base_sha256 else (None, files)
            await self._packing.rebuild(*where, base_commit=base_commit, base=base, packs=packs, tree=tree)
        finally:
            for file in files:
                file.unlink(missing_ok=True)

    async def _kept(self, run: RunFacts, made: Checkpoint) -> KeptTree:
        if made.pack is None:
            return KeptTree(tree=made.tree)
        try:
            await self._keep_base(run)
            name = pack_name(made.known_tree, made.tree)
            artifact = await self._put(run.org_id, made.pack, name, PACK_MEDIA_TYPE)
        finally:
            made.pack.unlink(missing_ok=True)
        return KeptTree(tree=made.tree, artifacts=(artifact,))

    async def _keep_base(self, run: RunFacts) -> None:
        """Once for all runs of a workspace that start from the same commit."""
        facts, base_commit, _ = placed(run)
        key = (facts.workspace_id, base_commit)
        lock = self._bases.setdefault(key, asyncio.Lock())
        if lock is None:
            return
        async with lock:
            if self._bases[key] is None:
                return
            if not await self._record.has_base(run.org_id, *key):
                pack = await self._packing.pack_base(facts.workspace_id, run.run_id, base_commit)
                stored = await self._put(run.org_id, pack, "base", PACK_MEDIA_TYPE)
                await self._record.keep_base(run.org_id, *key, stored.sha256, stored.size_bytes)
            self._bases[key] = None

    async def _put(self, org_id: UUID, file: Path, name: str, media_type: str) -> ArtifactRef:
        try:
            size = file.stat().st_size
            sha256 = await self._artifacts.put_file(org_id, file)
        finally:
            file.unlink(missing_ok=True)
        return ArtifactRef(sha256=sha256, size_bytes=size, media_type=media_type, name=name)

    @asynccontextmanager
    async def _fetched(self, run: RunFacts, sha256: str) -> AsyncIterator[Path]:
        file = await self._fetch(run, sha256)
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)

    async def _fetch(self, run: RunFacts, sha256: str) -> Path:
        facts, _, _ = placed(run)
        file = await self._packing.spool(facts.workspace_id, run.run_id)
        try:
            with await asyncio.to_thread(file.open, "wb") as sink:
                async for piece in self._artifacts.stream(run.org_id, sha256):
                    await asyncio.to_thread(sink.write, piece)
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        return file


def placed(run: RunFacts) -> tuple[WorkspaceFacts, str, str]:
    """Workspace, base commit and base tree. Raises InvalidInput when the run has none."""
    if run.workspace is None or run.base_commit is None or run.base_tree is None:
        raise InvalidInput(
            "The phase needs a repository, but the run has no workspace.",
            hint="Start the run with a workspace or --repo.",
            field="workspace",
        )
    return run.workspace, run.base_commit, run.base_tree


def _not_stored(tree: str) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.WORKSPACE,
        message=f"The tree {tree} is neither on this worker nor in the artifact store.",
        hint="Its artifacts may have been pruned: start the run again, or retry the phase that made the tree.",
    )
