"""Trees that any worker can go on from: packs of what is new in a tree, kept in the artifact store (DESIGN 5.3, 5.5).

A pack holds the objects of one tree that another, known tree lacks. Its artifact's name says both, so the artifact
rows of a run are the map from the run's base to each of its trees. The base itself is one pack per workspace and base
commit, without history, for workers that do not reach the user's repository.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from uuid import UUID

from domain.base import Frozen
from domain.runs.ports import ArtifactRef, RunFacts

PACK_MEDIA_TYPE = "application/x-git-packed-objects"
BUNDLE_MEDIA_TYPE = "application/x-git-bundle"
BRANCH_BUNDLE = "branch.bundle"
"""Name of the artifact with a run's commits: `git fetch branch.bundle <branch>` takes them anywhere."""

_PACK_NAME = re.compile(r"pack:([0-9a-f]{40}|[0-9a-f]{64})\.\.([0-9a-f]{40}|[0-9a-f]{64})")


class Checkpoint(Frozen):
    """A tree, and the file with what it has beyond the tree that was known."""

    tree: str
    known_tree: str
    pack: Path | None
    """None: nothing changed. Else a file that the caller removes when it is stored."""


class KeptTree(Frozen):
    """A tree whose pack is stored; it counts from the transaction that writes its artifacts."""

    tree: str
    artifacts: tuple[ArtifactRef, ...] = ()
    """To be written as rows of the attempt (table `artifact`) together with whatever names the tree."""


class PackEdge(Frozen):
    """A stored pack, as its artifact row says it."""

    known_tree: str
    tree: str
    sha256: str


class BranchTip(Frozen):
    """The newest stored commits of a run's branch."""

    commit: str
    sha256: str
    """Of the bundle."""


class StoredRun(Frozen):
    """All that is stored of a run's trees."""

    packs: tuple[PackEdge, ...] = ()
    base_sha256: str | None = None
    tip: BranchTip | None = None


def pack_name(known_tree: str, tree: str) -> str:
    return f"pack:{known_tree}..{tree}"


def pack_edge(name: str, sha256: str) -> PackEdge | None:
    """None for an artifact of another kind."""
    found = _PACK_NAME.fullmatch(name)
    return PackEdge(known_tree=found[1], tree=found[2], sha256=sha256) if found else None


def way_to(tree: str, base_tree: str, packs: Sequence[PackEdge]) -> tuple[PackEdge, ...] | None:
    """The fewest packs that lead from the base to the tree, in their order; None when no way was stored."""
    came: dict[str, PackEdge | None] = {base_tree: None}
    reached = [base_tree]
    for known in reached:
        for edge in packs:
            if edge.known_tree == known and edge.tree not in came:
                came[edge.tree] = edge
                reached.append(edge.tree)
    if tree not in came:
        return None
    way: list[PackEdge] = []
    while (step := came[tree]) is not None:
        way.append(step)
        tree = step.known_tree
    return tuple(reversed(way))


class TreeKeeping(Protocol):
    """What a phase uses (activities/runs/packs.py). Raises PhaseFailure (workspace, storage) or Unavailable."""

    async def checkpoint(self, run: RunFacts, *, label: str, known_tree: str) -> KeptTree:
        """The worktree as it is, as a stored tree. `known_tree`: the newest tree of this attempt that is recorded (at
        first the one that the phase began with); equal to it, nothing is stored and there are no artifacts."""
        ...

    async def restore(self, run: RunFacts, tree: str) -> None:
        """Makes the worktree equal to a recorded tree, built from its packs when this worker does not have it."""
        ...


class Packing(Protocol):
    """The git side. Files are made beside the run's worktree; blocking git runs off the event loop."""

    async def checkpoint(self, workspace_id: UUID, run_id: UUID, *, label: str, known_tree: str) -> Checkpoint:
        """As `snapshot`, with the pack of what the tree has beyond the known one."""
        ...

    async def fold(self, workspace_id: UUID, run_id: UUID, *, known_tree: str, tree: str) -> Checkpoint:
        """One pack over any number of checkpoints: what a recorded tree has beyond the known one."""
        ...

    async def pack_base(self, workspace_id: UUID, run_id: UUID, base_commit: str) -> Path:
        """The base commit with its files, without its history."""
        ...

    async def bundle(self, workspace_id: UUID, run_id: UUID, *, branch: str, base_commit: str) -> Path:
        """The commits of the run's branch over its base, as a bundle of git."""
        ...

    async def has_tree(self, workspace_id: UUID, run_id: UUID, tree: str) -> bool:
        """Whether this worker has the tree, whole and readable. Reads all of it: for when something failed."""
        ...

    async def spool(self, workspace_id: UUID, run_id: UUID) -> Path:
        """The name of a new file beside the run's worktree, for a body on its way here."""
        ...

    async def rebuild(
        self, workspace_id: UUID, run_id: UUID, *, base_commit: str, base: Path | None, packs: Sequence[Path], tree: str
    ) -> None:
        """Takes the packs in, in their order; with `base` also where there is no clone yet. The tree is whole
        afterwards, or PhaseFailure(storage)."""
        ...

    async def has_commit(self, workspace_id: UUID, run_id: UUID, *, branch: str, commit: str) -> bool:
        """Whether the run's branch here has the commit."""
        ...

    async def rebuild_branch(self, workspace_id: UUID, run_id: UUID, *, branch: str, bundle: Path, commit: str) -> None:
        """The run's branch as the bundle has it; its base is there."""
        ...


class PackRecord(Protocol):
    """The record's side (adapters/store/packs.py)."""

    async def stored(self, org_id: UUID, run_id: UUID) -> StoredRun: ...

    async def has_base(self, org_id: UUID, workspace_id: UUID, base_commit: str) -> bool: ...

    async def keep_base(self, org_id: UUID, workspace_id: UUID, base_commit: str, sha256: str, size_bytes: int) -> None:
        """Idempotent; the first one stays."""
        ...
