"""The Workspaces port: every call is one hop to a thread, where git runs; a cancelled call ends its git."""

import functools
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID

from adapters.workspace import commits, failures, files, janitor, patches, repository, runs, setup_cache, trees
from adapters.workspace.calls import GitCalls
from adapters.workspace.clone import guard_config
from adapters.workspace.git import Git
from adapters.workspace.janitor import JanitorReport
from adapters.workspace.layout import RunPlace
from adapters.workspace.locks import PhaseLock
from adapters.workspace.packing import GitPacks
from adapters.workspace.worktree import KnownTrees
from domain.runs.ports import CommitFacts, WorkspaceFacts
from domain.workspaces.ports import Base, DeliverResult, DiffStat


class GitWorkspaces:
    """`root` is the folder `workspaces` of the state folder. `remote_env` is given to git only when it delivers to
    a remote over the network (HOME and SSH_AUTH_SOCK, for keys). Close it at the end."""

    def __init__(self, root: Path, *, git: str | None = None, remote_env: Mapping[str, str] | None = None) -> None:
        """Raises Unavailable when there is no git."""
        self._calls = GitCalls(root, git=git)
        self._layout = self._calls.layout
        self._remote_env = dict(remote_env or {})
        self._known = KnownTrees()
        self.packs = GitPacks(self._calls, self._known)
        """The same worktrees, as packs."""

    def close(self) -> None:
        """Waits for the git work under way."""
        self._calls.close()

    async def inspect(self, repo_path: str) -> Base:
        return await self._calls.call(repository.inspect, repo_path)

    async def prepare(self, workspace_id: UUID, run_id: UUID, repo_path: str, base_commit: str) -> Path:
        place = self._layout.run(workspace_id, run_id)
        return await self._calls.call(runs.prepare, place, self._known, repo_path, base_commit)

    def path(self, workspace_id: UUID, run_id: UUID) -> Path:
        return self._layout.run(workspace_id, run_id).worktree

    def lock(self, workspace_id: UUID, run_id: UUID, *, wait_seconds: float) -> PhaseLock:
        return PhaseLock(self._layout.run(workspace_id, run_id).phase_lock, wait_seconds=wait_seconds)

    async def restore(self, workspace_id: UUID, run_id: UUID, tree: str) -> None:
        def restore(git: Git, place: RunPlace) -> None:
            with runs.opened(git, place, self._known) as worktree:
                worktree.make_equal(tree)

        await self._calls.call(restore, self._layout.run(workspace_id, run_id))

    async def restore_for_verification(
        self, workspace_id: UUID, run_id: UUID, tree: str, base_tree: str, protected: Sequence[str]
    ) -> tuple[str, ...]:
        """What the run's own new ignore rules would hide from the verification is removed, too."""

        def restore(git: Git, place: RunPlace) -> tuple[str, ...]:
            with runs.opened(git, place, self._known) as worktree:
                found = trees.tampered(worktree.git, base_tree, tree, protected)
                wanted = tree
                if found.put_back:
                    wanted = trees.with_files_of(worktree.git, place, tree, base_tree, found.put_back)
                if trees.changes_ignore_rules(worktree.git, base_tree, wanted):
                    worktree.make_equal(base_tree)
                worktree.make_equal(wanted)
                if protected:
                    worktree.forget_bytecode()
                return tuple(failures.printable(path) for path in found.told)

        return await self._calls.call(restore, self._layout.run(workspace_id, run_id))

    async def snapshot(self, workspace_id: UUID, run_id: UUID, *, label: str) -> str:
        def snapshot(git: Git, place: RunPlace) -> str:
            with runs.opened(git, place, self._known) as worktree:
                tree = worktree.as_tree()
                runs.keep(worktree.git, place, label, tree)
                return tree

        return await self._calls.call(snapshot, self._layout.run(workspace_id, run_id))

    async def diff(self, workspace_id: UUID, run_id: UUID, old_tree: str, new_tree: str, *, limit_bytes: int) -> str:
        place = self._layout.run(workspace_id, run_id)
        return await self._calls.on_clone(
            place, functools.partial(trees.diff, limit_bytes=limit_bytes), old_tree, new_tree
        )

    async def diff_stat(self, workspace_id: UUID, run_id: UUID, old_tree: str, new_tree: str) -> DiffStat:
        return await self._calls.on_clone(self._layout.run(workspace_id, run_id), trees.diff_stat, old_tree, new_tree)

    async def write_files(self, workspace_id: UUID, run_id: UUID, files_: Mapping[str, str | None]) -> None:
        def write(git: Git, place: RunPlace) -> None:
            with runs.opened(git, place, self._known):
                files.write(place.worktree, files_)

        await self._calls.call(write, self._layout.run(workspace_id, run_id))

    async def apply_patch(self, workspace_id: UUID, run_id: UUID, patch: str) -> None:
        def apply(git: Git, place: RunPlace) -> None:
            with runs.opened(git, place, self._known) as worktree:
                patches.apply(worktree.git, patch)

        await self._calls.call(apply, self._layout.run(workspace_id, run_id))

    async def read_files(
        self, workspace_id: UUID, run_id: UUID, globs: Sequence[str], *, limit_bytes: int
    ) -> dict[str, str]:
        """A file that does not fit is named with its size instead of its text."""

        def read(git: Git, place: RunPlace) -> dict[str, str]:
            with runs.opened(git, place, self._known) as worktree:
                at_index = worktree.git.at(place.worktree, index=place.index)
                return files.read(at_index, place.worktree, globs, limit_bytes=limit_bytes)

        return await self._calls.call(read, self._layout.run(workspace_id, run_id))

    async def commit(
        self,
        workspace_id: UUID,
        run_id: UUID,
        *,
        tree: str,
        message: str,
        trailers: Mapping[str, str],
        branch: str,
        base_commit: str,
        made_at: datetime | None = None,
    ) -> CommitFacts | None:
        def commit(git: Git, place: RunPlace) -> CommitFacts | None:
            with runs.locked(git, place) as held:
                guard_config(place.clone)
                return commits.commit(
                    held.at(place.clone.git_dir, git_dir=place.clone.git_dir),
                    place,
                    tree=tree,
                    message=message,
                    trailers=trailers,
                    branch=branch,
                    base_commit=base_commit,
                    made_at=made_at,
                )

        return await self._calls.call(commit, self._layout.run(workspace_id, run_id))

    async def deliver(
        self, workspace_id: UUID, run_id: UUID, *, branch: str, remote: str, repo_path: str
    ) -> DeliverResult:
        def deliver(git: Git, place: RunPlace) -> DeliverResult:
            with runs.locked(git, place) as held:
                guard_config(place.clone)
                return commits.deliver(
                    held.at(place.clone.git_dir, git_dir=place.clone.git_dir),
                    place,
                    branch=branch,
                    remote=remote,
                    repo_path=repo_path,
                    remote_env=self._remote_env,
                )

        return await self._calls.call(deliver, self._layout.run(workspace_id, run_id))

    async def reclaim(self, workspace_id: UUID, run_id: UUID) -> bool:
        """Also False while a phase works in it."""
        return await self._calls.call(runs.reclaim, self._layout.run(workspace_id, run_id), self._known)

    async def setup_key(self, facts: WorkspaceFacts, run_id: UUID, tree: str) -> str:
        """Same key, same set-up: of the command, its environment, its inputs in the tree, and the platform."""
        place = self._layout.run(facts.workspace_id, run_id)
        return await self._calls.on_clone(place, setup_cache.setup_key, facts, tree)

    def is_set_up(self, workspace_id: UUID, run_id: UUID, key: str) -> bool:
        return setup_cache.is_set_up(self._layout.run(workspace_id, run_id), key)

    def mark_set_up(self, workspace_id: UUID, run_id: UUID, key: str) -> None:
        """After the set-up command has succeeded in the run's worktree."""
        setup_cache.mark_set_up(self._layout.run(workspace_id, run_id), key)

    async def runs_on_disk(self) -> tuple[UUID, ...]:
        """Runs that have a worktree here."""
        return await self._calls.call(lambda _: tuple(janitor.runs_on_disk(self._layout)))

    async def clean_up(self, *, finished: Collection[UUID], active: Collection[UUID]) -> JanitorReport:
        """The janitor: reclaims what is clean and finished, names the rest, packs the clones."""
        collect = functools.partial(janitor.clean_up, finished=finished, active=active)
        return await self._calls.call(collect, self._layout, self._known)
