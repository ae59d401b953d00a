"""The worktree of a run, from its making to its removal, under the run's git lock."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from adapters.workspace import failures
from adapters.workspace.clone import ensure_base
from adapters.workspace.folders import remove_folder
from adapters.workspace.git import Git
from adapters.workspace.layout import RunPlace
from adapters.workspace.locks import GIT_LOCK_SECONDS, held, is_held, released_after, try_lock
from adapters.workspace.worktree import GITLINK, KnownTrees, Worktree, WorktreeFacts
from domain.errors import PhaseFailure
from domain.runs.failure import ErrorKind


@contextlib.contextmanager
def locked(git: Git, place: RunPlace) -> Iterator[Git]:
    """Git that holds the run's git lock; errors of the disk come out as PhaseFailure."""
    try:
        place.clone.runs.mkdir(parents=True, exist_ok=True)
        with held(place.git_lock, wait_seconds=GIT_LOCK_SECONDS) as lock:
            yield git.at(place.clone.runs, held_locks=(lock,))
    except OSError as error:
        raise failures.from_os_error(error, place.clone.folder) from error


@contextlib.contextmanager
def opened(git: Git, place: RunPlace, known: KnownTrees) -> Iterator[Worktree]:
    """Raises PhaseFailure(internal: it is tried again from `prepare`) when the run has no worktree."""
    with locked(git, place) as git:
        if not exists(place):
            raise failures.failure(
                ErrorKind.INTERNAL,
                f"The run has no worktree at {place.worktree}",
                hint="It was reclaimed meanwhile, or removed; the phase is tried again, which makes it anew.",
            )
        remove_leftovers(place)
        yield Worktree(git, place, known)


def remove_leftovers(place: RunPlace) -> None:
    """Of a process that was killed; the run's git lock is held."""
    for leftover in (place.temporary_worktree, place.trash, place.new_private_git, place.old_private_git):
        remove_folder(leftover)


def exists(place: RunPlace) -> bool:
    return place.worktree.is_dir() and place.facts.exists()


def prepare(git: Git, place: RunPlace, known: KnownTrees, repo_path: str, base_commit: str) -> Path:
    """Idempotent. Made under a temporary name: the rename is the moment from which the worktree exists.

    Raises InvalidInput when the repository lacks the commit, PhaseFailure(workspace, storage)."""
    with locked(git, place) as git:
        if exists(place):
            _refuse_other_base(place, base_commit)
            return place.worktree
        ensure_base(git, place.clone, repo_path, base_commit, place.base_ref)
        at_clone = git.at(place.clone.git_dir, git_dir=place.clone.git_dir)
        entries = at_clone.run("ls-tree", "-r", "-z", "--full-tree", base_commit).stdout.split(b"\0")
        has_submodules = any(entry.startswith(GITLINK) for entry in entries)
        WorktreeFacts(base_commit=base_commit, has_submodules=has_submodules).write(place)
        if not place.worktree.is_dir():
            building = place.temporary_worktree
            try:
                Worktree(git, place, known, folder=building).check_out_first()
                building.rename(place.worktree)
            except BaseException:
                remove_folder(building)
                raise
    return place.worktree


def keep(git: Git, place: RunPlace, label: str, tree: str) -> None:
    """The tree is found by its ref, and safe from gc."""
    ref = place.tree_ref(label)
    (place.clone.git_dir / f"{ref}.lock").unlink(missing_ok=True)  # of a git that was killed; the lock is ours
    git.run("update-ref", ref, tree)


def recorded_trees(git: Git, place: RunPlace) -> set[str]:
    """Every tree kept for the run, and its base's."""
    refs = git.run("for-each-ref", "--format=%(objectname)", f"{place.tree_refs}/")
    base = git.try_run("rev-parse", "--verify", "--quiet", f"{place.base_ref}^{{tree}}")
    return {*refs.text.split(), *base.text.split()}


def reclaim(git: Git, place: RunPlace, known: KnownTrees) -> bool:
    """Whether no worktree is left. Never removes one that a phase works in, or that holds what no tree has."""
    place.clone.runs.mkdir(parents=True, exist_ok=True)
    phase_lock = try_lock(place.phase_lock)
    if phase_lock is None:
        return False
    with released_after(phase_lock), locked(git, place) as git:
        if is_held(place.guard_lock):
            return False
        if place.worktree.is_dir():
            if not place.facts.exists():
                return False
            worktree = Worktree(git, place, known)
            try:
                if worktree.as_tree() not in recorded_trees(worktree.git, place):
                    return False
            except PhaseFailure as failure:
                if failure.error.kind is ErrorKind.INVALID_OUTPUT:
                    return False
                raise
            remove_folder(place.trash)
            place.worktree.rename(place.trash)
        known.forget(place.index)
        for beside in (place.facts, place.index, place.work_index, place.setup_stamp):
            beside.unlink(missing_ok=True)
        remove_folder(place.agents)
        remove_leftovers(place)
        for lock in (place.guard_lock, place.phase_lock, place.git_lock):
            lock.unlink(missing_ok=True)
    return True


def _refuse_other_base(place: RunPlace, base_commit: str) -> None:
    found = WorktreeFacts.read(place).base_commit
    if found != base_commit:
        raise failures.failure(
            ErrorKind.WORKSPACE,
            f"The worktree {place.worktree} starts from {found}, not from {base_commit}",
            hint="A run keeps its base; start a new run.",
        )
