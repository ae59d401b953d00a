"""The Packing port: a run's trees and branch as files, and back."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from adapters.workspace import packs, runs
from adapters.workspace.calls import GitCalls
from adapters.workspace.commits import checked_ref
from adapters.workspace.git import Git
from adapters.workspace.layout import RunPlace
from adapters.workspace.worktree import KnownTrees
from domain.workspaces.packs import Checkpoint


class GitPacks:
    def __init__(self, calls: GitCalls, known: KnownTrees) -> None:
        self._calls = calls
        self._known = known

    async def checkpoint(self, workspace_id: UUID, run_id: UUID, *, label: str, known_tree: str) -> Checkpoint:
        place = self._place(workspace_id, run_id)

        def checkpoint(git: Git) -> Checkpoint:
            with runs.opened(git, place, self._known) as worktree:
                tree = worktree.as_tree()
                runs.keep(worktree.git, place, label, tree)
                return packs.checkpoint(worktree.git, place, known_tree=known_tree, tree=tree)

        return await self._calls.call(checkpoint)

    async def fold(self, workspace_id: UUID, run_id: UUID, *, known_tree: str, tree: str) -> Checkpoint:
        place = self._place(workspace_id, run_id)
        return await self._calls.on_clone(place, packs.checkpoint, place, known_tree=known_tree, tree=tree)

    async def pack_base(self, workspace_id: UUID, run_id: UUID, base_commit: str) -> Path:
        place = self._place(workspace_id, run_id)
        return await self._calls.on_clone(place, packs.pack_base, place, base_commit)

    async def bundle(self, workspace_id: UUID, run_id: UUID, *, branch: str, base_commit: str) -> Path:
        place = self._place(workspace_id, run_id)

        def bundle(git: Git) -> Path:
            return packs.bundle(git, place, ref=checked_ref(git, branch), base_commit=base_commit)

        return await self._calls.on_clone(place, bundle)

    async def has_tree(self, workspace_id: UUID, run_id: UUID, tree: str) -> bool:
        place = self._place(workspace_id, run_id)

        def has_tree(git: Git) -> bool:
            return packs.is_whole(git, tree)

        return place.clone.git_dir.is_dir() and await self._calls.on_clone(place, has_tree)

    async def spool(self, workspace_id: UUID, run_id: UUID) -> Path:
        place = self._place(workspace_id, run_id)

        def spool(_: Git) -> Path:
            place.clone.runs.mkdir(parents=True, exist_ok=True)
            return place.new_spool()

        return await self._calls.call(spool)

    async def rebuild(
        self, workspace_id: UUID, run_id: UUID, *, base_commit: str, base: Path | None, packs: Sequence[Path], tree: str
    ) -> None:
        place = self._place(workspace_id, run_id)
        await self._calls.call(_rebuild, place, base_commit, base, packs, tree)

    async def has_commit(self, workspace_id: UUID, run_id: UUID, *, branch: str, commit: str) -> bool:
        place = self._place(workspace_id, run_id)

        def has_commit(git: Git) -> bool:
            ref = checked_ref(git, branch)
            return git.try_run("merge-base", "--is-ancestor", commit, ref).code == 0

        return await self._calls.on_clone(place, has_commit)

    async def rebuild_branch(self, workspace_id: UUID, run_id: UUID, *, branch: str, bundle: Path, commit: str) -> None:
        place = self._place(workspace_id, run_id)

        def rebuild(git: Git) -> None:
            with runs.locked(git, place) as git:
                git = git.at(place.clone.git_dir, git_dir=place.clone.git_dir)
                packs.rebuild_branch(git, place, ref=checked_ref(git, branch), bundle=bundle, commit=commit)

        await self._calls.call(rebuild)

    def _place(self, workspace_id: UUID, run_id: UUID) -> RunPlace:
        return self._calls.layout.run(workspace_id, run_id)


def _rebuild(git: Git, place: RunPlace, base_commit: str, base: Path | None, files: Sequence[Path], tree: str) -> None:
    with runs.locked(git, place) as git:
        packs.rebuild(git, place, base_commit=base_commit, base=base, packs=files, tree=tree)
