"""The port of git workspaces: a bare clone per workspace, a worktree per run (DESIGN 5.5)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

from domain.base import Frozen
from domain.runs.ports import CommitFacts, WorkspaceFacts


class Base(Frozen):
    """What a run starts from."""

    commit: str
    tree: str
    branch: str | None
    """None: detached HEAD."""
    warnings: tuple[str, ...] = ()
    """Dirty or detached: said, not refused."""


class DiffStat(Frozen):
    files_changed: int
    insertions: int | None
    """Lines; None when a changed file is too large for git to count its lines."""
    deletions: int | None


class MovedBase(Frozen):
    """HEAD of the repository that was delivered to is no longer the commit that the run started from."""

    head: str
    branch: str | None = None
    """None: detached there, or not told."""
    commits: int | None = None
    """Of HEAD over the base. None: HEAD does not contain the base (another branch, or rewritten), or it is unknown."""
    conflicts: tuple[str, ...] | None = None
    """Files that a merge of the two would leave in conflict. None: unknown."""

    @property
    def line(self) -> str:
        """For people: what moved, by how much, and whether it merges."""
        where = f"{self.branch or 'HEAD'} there is at {self.head[:12]}"
        if self.commits is None:
            moved = f"{where}, which does not contain the commit that the run started from (or it could not be seen)"
        else:
            moved = f"{where}, {self.commits} commit{'' if self.commits == 1 else 's'} past the run's base"
        if self.conflicts is None:
            return f"{moved}."
        if not self.conflicts:
            return f"{moved}; the branch merges without conflict."
        files = ", ".join(self.conflicts[:5]) + (
            f" and {len(self.conflicts) - 5} more" if len(self.conflicts) > 5 else ""
        )
        return f"{moved}; a merge has conflicts in {files}: merge or rebase by hand, or start the run again from there."


class DeliverResult(Frozen):
    branch: str
    commit: str
    already_there: bool
    """True: the look-up before the push found it delivered."""
    moved: MovedBase | None = None


class WorkspaceLock(Protocol):
    """Held on a worktree while a phase works in it, across processes; freed by the kernel when the holder dies."""

    async def __aenter__(self) -> "WorkspaceLock": ...

    async def __aexit__(self, *exc: object) -> None: ...


class Workspaces(Protocol):
    """All git work. Raises InvalidInput (bad repository: the thing and the way out) or PhaseFailure (workspace,
    storage). Blocking git runs off the event loop. The user's own repository is only read, and receives
    delivered branches. Our git runs with hooks and repository config off."""

    async def inspect(self, repo_path: str) -> Base:
        """Of the user's repository: refuses a folder that is not git, and an empty repository."""
        ...

    async def prepare(self, workspace_id: UUID, run_id: UUID, repo_path: str, base_commit: str) -> Path:
        """Bare clone (updated when it lacks the base) and the run's worktree at base; idempotent; its path."""
        ...

    def path(self, workspace_id: UUID, run_id: UUID) -> Path: ...

    def lock(self, workspace_id: UUID, run_id: UUID, *, wait_seconds: float) -> WorkspaceLock: ...

    async def restore(self, workspace_id: UUID, run_id: UUID, tree: str) -> None:
        """Makes the worktree equal to the tree if it differs; ignored files stay, other untracked ones go."""
        ...

    async def restore_for_verification(
        self, workspace_id: UUID, run_id: UUID, tree: str, base_tree: str, protected: Sequence[str]
    ) -> tuple[str, ...]:
        """As restore, but every protected file that existed at base has its base content. Returns the protected
        files that the run changed, sorted."""
        ...

    async def snapshot(self, workspace_id: UUID, run_id: UUID, *, label: str) -> str:
        """Tree hash of the worktree as it is (ignored files apart), kept from gc by refs/millwright/<run>/<label>."""
        ...

    async def diff(self, workspace_id: UUID, run_id: UUID, old_tree: str, new_tree: str, *, limit_bytes: int) -> str:
        """Unified diff, decoded safely; cut at the limit with a line that says so."""
        ...

    async def diff_stat(self, workspace_id: UUID, run_id: UUID, old_tree: str, new_tree: str) -> DiffStat: ...

    async def write_files(self, workspace_id: UUID, run_id: UUID, files: Mapping[str, str | None]) -> None:
        """Writes (or with None deletes) files below the worktree. Raises PhaseFailure(invalid_output) for a path
        that leaves it (absolute, .., through a symbolic link, .git)."""
        ...

    async def apply_patch(self, workspace_id: UUID, run_id: UUID, patch: str) -> None:
        """Raises PhaseFailure(invalid_output) with git's words when it does not apply; the tree is then untouched."""
        ...

    async def read_files(
        self, workspace_id: UUID, run_id: UUID, globs: Sequence[str], *, limit_bytes: int
    ) -> dict[str, str]:
        """Tracked and untracked text files matching any glob, sorted by path, up to the limit in all."""
        ...

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
        """The tree as one commit on the run's branch. Looks for a commit with the same trailers first (idempotent).
        None when the tree equals its parent's. With `made_at` (the same for each try) every worker makes the same
        commit."""
        ...

    async def deliver(
        self, workspace_id: UUID, run_id: UUID, *, branch: str, remote: str, repo_path: str
    ) -> DeliverResult:
        """Pushes the run's branch (remote `origin`: the user's repository) after a look-up; never forces. Says when
        HEAD there has moved since the run's base."""
        ...

    async def reclaim(self, workspace_id: UUID, run_id: UUID) -> bool:
        """Removes the worktree of a finished run if it is clean (equal to a recorded tree). False: dirty, kept."""
        ...

    async def setup_key(self, facts: WorkspaceFacts, run_id: UUID, tree: str) -> str:
        """SHA-256 hex of all that the set-up depends on in this tree."""
        ...

    def is_set_up(self, workspace_id: UUID, run_id: UUID, key: str) -> bool: ...

    def mark_set_up(self, workspace_id: UUID, run_id: UUID, key: str) -> None: ...
