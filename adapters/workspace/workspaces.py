"""The Workspaces port: every call is one hop to a thread, where git runs; a cancelled call ends its git."""

import asyncio
import functools
import os
import shutil
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar
from uuid import UUID

from adapters.workspace import commits, failures, files, janitor, patches, repository, runs, setup_cache, trees
from adapters.workspace.clone import guard_config
from adapters.workspace.git import Git, Stop, base_environment, config_text
from adapters.workspace.janitor import JanitorReport
from adapters.workspace.layout import Layout, RunPlace
from adapters.workspace.locks import PhaseLock
from adapters.workspace.worktree import KnownTrees
from domain.errors import Unavailable
from domain.runs.ports import CommitFacts, WorkspaceFacts
from domain.workspaces.ports import Base, DeliverResult, DiffStat

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 16
"""Calls that do git work at the same moment; more wait for a thread."""


class GitWorkspaces:
    """`root` is the folder `workspaces` of the state folder. `remote_env` is given to git only when it delivers to
    a remote over the network (HOME and SSH_AUTH_SOCK, for keys). Close it at the end."""

    def __init__(self, root: Path, *, git: str | None = None, remote_env: Mapping[str, str] | None = None) -> None:
        """Raises Unavailable when there is no git."""
        binary = git or shutil.which("git")
        if binary is None:
            raise Unavailable("The `git` command was not found", hint="Install git 2.34 or newer, and start again.")
        self._layout = Layout(root.absolute())
        self._git = Git(binary, Path("/"), base_environment(binary, self._layout.git_config))
        self._remote_env = dict(remote_env or {})
        self._known = KnownTrees()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="git")

    def close(self) -> None:
        """Waits for the git work under way."""
        self._threads.shutdown()

    async def inspect(self, repo_path: str) -> Base:
        return await self._call(repository.inspect, repo_path)

    async def prepare(self, workspace_id: UUID, run_id: UUID, repo_path: str, base_commit: str) -> Path:
        place = self._layout.run(workspace_id, run_id)
        return await self._call(runs.prepare, place, self._known, repo_path, base_commit)

    def path(self, workspace_id: UUID, run_id: UUID) -> Path:
        return self._layout.run(workspace_id, run_id).worktree

    def lock(self, workspace_id: UUID, run_id: UUID, *, wait_seconds: float) -> PhaseLock:
        return PhaseLock(self._layout.run(workspace_id, run_id).phase_lock, wait_seconds=wait_seconds)

    async def restore(self, workspace_id: UUID, run_id: UUID, tree: str) -> None:
        def restore(git: Git, place: RunPlace) -> None:
            with runs.opened(git, place, self._known) as worktree:
                worktree.make_equal(tree)

        await self._call(restore, self._layout.run(workspace_id, run_id))

    async def restore_for_verification(
        self, workspace_id: UUID, run_id: UUID, tree: str, base_tree: str, protected: Sequence[str]
    ) -> tuple[str, ...]:
        """What the run's own new ignore rules would hide from the verification is removed, too."""

        def restore(git: Git, place: RunPlace) -> tuple[str, ...]:
            with runs.opened(git, place, self._known) as worktree:
                changed = trees.changed_protected(worktree.git, base_tree, tree, protected)
                wanted = trees.with_files_of(worktree.git, place, tree, base_tree, changed) if changed else tree
                if trees.changes_ignore_rules(worktree.git, base_tree, wanted):
                    worktree.make_equal(base_tree)
                worktree.make_equal(wanted)
                return tuple(failures.printable(path) for path in changed)

        return await self._call(restore, self._layout.run(workspace_id, run_id))

    async def snapshot(self, workspace_id: UUID, run_id: UUID, *, label: str) -> str:
        def snapshot(git: Git, place: RunPlace) -> str:
            with runs.opened(git, place, self._known) as worktree:
                tree = worktree.as_tree()
                runs.keep(worktree.git, place, label, tree)
                return tree

        return await self._call(snapshot, self._layout.run(workspace_id, run_id))

    async def diff(self, workspace_id: UUID, run_id: UUID, old_tree: str, new_tree: str, *, limit_bytes: int) -> str:
        place = self._layout.run(workspace_id, run_id)
        return await self._on_clone(place, functools.partial(trees.diff, limit_bytes=limit_bytes), old_tree, new_tree)

    async def diff_stat(self, workspace_id: UUID, run_id: UUID, old_tree: str, new_tree: str) -> DiffStat:
        return await self._on_clone(self._layout.run(workspace_id, run_id), trees.diff_stat, old_tree, new_tree)

    async def write_files(self, workspace_id: UUID, run_id: UUID, files_: Mapping[str, str | None]) -> None:
        def write(git: Git, place: RunPlace) -> None:
            with runs.opened(git, place, self._known):
                files.write(place.worktree, files_)

        await self._call(write, self._layout.run(workspace_id, run_id))

    async def apply_patch(self, workspace_id: UUID, run_id: UUID, patch: str) -> None:
        def apply(git: Git, place: RunPlace) -> None:
            with runs.opened(git, place, self._known) as worktree:
                patches.apply(worktree.git, patch)

        await self._call(apply, self._layout.run(workspace_id, run_id))

    async def read_files(
        self, workspace_id: UUID, run_id: UUID, globs: Sequence[str], *, limit_bytes: int
    ) -> dict[str, str]:
        """A file that does not fit is named with its size instead of its text."""

        def read(git: Git, place: RunPlace) -> dict[str, str]:
            with runs.opened(git, place, self._known) as worktree:
                at_index = worktree.git.at(place.worktree, index=place.index)
                return files.read(at_index, place.worktree, globs, limit_bytes=limit_bytes)

        return await self._call(read, self._layout.run(workspace_id, run_id))

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
                )

        return await self._call(commit, self._layout.run(workspace_id, run_id))

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

        return await self._call(deliver, self._layout.run(workspace_id, run_id))

    async def reclaim(self, workspace_id: UUID, run_id: UUID) -> bool:
        """Also False while a phase works in it."""
        return await self._call(runs.reclaim, self._layout.run(workspace_id, run_id), self._known)

    async def setup_key(self, facts: WorkspaceFacts, run_id: UUID, tree: str) -> str:
        """Same key, same set-up: of the command, its environment, its inputs in the tree, and the platform."""
        place = self._layout.run(facts.workspace_id, run_id)
        return await self._on_clone(place, setup_cache.setup_key, facts, tree)

    def is_set_up(self, workspace_id: UUID, run_id: UUID, key: str) -> bool:
        return setup_cache.is_set_up(self._layout.run(workspace_id, run_id), key)

    def mark_set_up(self, workspace_id: UUID, run_id: UUID, key: str) -> None:
        """After the set-up command has succeeded in the run's worktree."""
        setup_cache.mark_set_up(self._layout.run(workspace_id, run_id), key)

    async def runs_on_disk(self) -> tuple[UUID, ...]:
        """Runs that have a worktree here."""
        return await self._call(lambda _: tuple(janitor.runs_on_disk(self._layout)))

    async def clean_up(self, *, finished: Collection[UUID], active: Collection[UUID]) -> JanitorReport:
        """The janitor: reclaims what is clean and finished, names the rest, packs the clones."""
        collect = functools.partial(janitor.clean_up, finished=finished, active=active)
        return await self._call(collect, self._layout, self._known)

    async def _on_clone(
        self, place: RunPlace, work: Callable[Concatenate[Git, P], T], *args: P.args, **kw: P.kwargs
    ) -> T:
        def on_clone(git: Git) -> T:
            guard_config(place.clone)
            return work(git.at(place.clone.git_dir, git_dir=place.clone.git_dir), *args, **kw)

        return await self._call(on_clone)

    async def _call(self, work: Callable[Concatenate[Git, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """When the caller is cancelled, the git process is killed, and the thread waited for: it holds locks."""
        stop = Stop()

        def in_thread() -> T:
            try:
                self._keep_config()
                return work(self._git.with_stop(stop), *args, **kw)
            except OSError as error:
                raise failures.from_os_error(error, self._layout.root) from error

        future = asyncio.get_running_loop().run_in_executor(self._threads, in_thread)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            stop.now()
            await asyncio.wait([future])
            future.exception()
            raise

    def _keep_config(self) -> None:
        """The configuration file of our git holds what it should, whoever wrote to it."""
        path, text = self._layout.git_config, config_text()
        try:
            if path.read_text() == text:
                return
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
        temporary.write_text(text)
        temporary.replace(path)
