"""Goes over the worktrees found on disk, whatever the record says, and tells what became of each."""

import contextlib
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from uuid import UUID

from adapters.workspace import runs
from adapters.workspace.abandoned import remove_abandoned
from adapters.workspace.folders import remove_folder
from adapters.workspace.git import Git
from adapters.workspace.layout import SPOOL_PREFIX, TEMPORARY_PREFIX, ClonePlace, Layout, RunPlace
from adapters.workspace.locks import released_after, try_lock
from adapters.workspace.worktree import KnownTrees
from domain.base import Frozen
from domain.errors import PhaseFailure

_PACK_ABOVE = 5000
"""Loose objects in a clone before they are packed; what no ref names is dropped after two weeks."""

_UUID_LENGTH = 36
_ON_ITS_WAY_SECONDS = 6 * 3600.0


class KeptWorktree(Frozen):
    run_id: UUID
    path: Path
    reason: str


class JanitorReport(Frozen):
    reclaimed: tuple[UUID, ...] = ()
    kept: tuple[KeptWorktree, ...] = ()
    """Of finished runs, with the reason: dirty, in use, or what failed."""
    active: tuple[UUID, ...] = ()
    orphaned: tuple[KeptWorktree, ...] = ()
    """Of runs that the record does not know. Never removed by itself."""


def clean_up(
    git: Git, layout: Layout, known: KnownTrees, *, finished: Collection[UUID], active: Collection[UUID]
) -> JanitorReport:
    """Reclaims the clean worktrees of finished runs; packs the clones."""
    reclaimed: list[UUID] = []
    kept: list[KeptWorktree] = []
    running: list[UUID] = []
    orphaned: list[KeptWorktree] = []
    for clone in _clones(layout):
        for place in _worktrees(clone):
            if place.run_id in active:
                running.append(place.run_id)
            elif place.run_id in finished:
                reason = _reclaim(git, place, known)
                if reason is None:
                    reclaimed.append(place.run_id)
                else:
                    kept.append(KeptWorktree(run_id=place.run_id, path=place.worktree, reason=reason))
            else:
                reason = "the record has no such run; look at it and delete the folder"
                orphaned.append(KeptWorktree(run_id=place.run_id, path=place.worktree, reason=reason))
        _remove_leftovers(clone)
        _pack(git, clone)
    return JanitorReport(reclaimed=tuple(reclaimed), kept=tuple(kept), active=tuple(running), orphaned=tuple(orphaned))


def runs_on_disk(layout: Layout) -> Iterator[UUID]:
    for clone in _clones(layout):
        for place in _worktrees(clone):
            yield place.run_id


def _clones(layout: Layout) -> Iterator[ClonePlace]:
    if layout.root.is_dir():
        for folder in sorted(layout.root.iterdir()):
            if _as_uuid(folder.name) and (folder / "repo.git").is_dir():
                yield ClonePlace(folder)


def _worktrees(clone: ClonePlace) -> list[RunPlace]:
    if not clone.runs.is_dir():
        return []
    ids = (_as_uuid(folder.name) for folder in sorted(clone.runs.iterdir()) if folder.is_dir())
    return [RunPlace(clone, run_id) for run_id in ids if run_id is not None]


def _as_uuid(name: str) -> UUID | None:
    with contextlib.suppress(ValueError):
        return UUID(name)
    return None


def _reclaim(git: Git, place: RunPlace, known: KnownTrees) -> str | None:
    """Why it is kept; None when it is gone. One that fails must not keep the others."""
    try:
        return None if runs.reclaim(git, place, known) else "it holds changes that no recorded tree has, or is in use"
    except PhaseFailure as failure:
        return failure.message


def _remove_leftovers(clone: ClonePlace) -> None:
    """Half-made and half-removed worktrees of killed processes: those whose run nobody works on now."""
    if not clone.runs.is_dir():
        return
    for leftover in clone.runs.glob(f"{TEMPORARY_PREFIX}*"):
        run_id = _as_uuid(leftover.name[-_UUID_LENGTH:])
        if run_id is None or _may_be_on_its_way(leftover):
            continue
        lock = try_lock(RunPlace(clone, run_id).git_lock)
        if lock is not None:
            with released_after(lock):
                remove_folder(leftover)


def _may_be_on_its_way(leftover: Path) -> bool:
    """A pack is carried to or from the artifact store without a lock."""
    if not leftover.name.startswith(SPOOL_PREFIX):
        return False
    with contextlib.suppress(FileNotFoundError):
        return time.time() - leftover.stat().st_mtime < _ON_ITS_WAY_SECONDS
    return True


def _pack(git: Git, clone: ClonePlace) -> None:
    lock = try_lock(clone.lock_file)
    if lock is None:
        return
    with released_after(lock):
        at_clone = git.at(clone.git_dir, git_dir=clone.git_dir, held_locks=(lock,))
        remove_abandoned(clone.git_dir)
        for stale in ("gc.pid", "packed-refs.lock"):
            (clone.git_dir / stale).unlink(missing_ok=True)
        at_clone.run("-c", f"gc.auto={_PACK_ABOVE}", "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet")
