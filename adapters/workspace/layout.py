"""Where everything of a workspace lies in the state folder. The one place that knows these names.

<root>/<workspace id>/repo.git            bare clone: objects, refs/millwright-base/<run>, refs/millwright/<run>/<label>
                      repo.lock           held while the clone is made, fetched into or packed
                      runs/<run id>/      worktree, with a private `.git` of its own that our git never opens
                      runs/<run id>.*     files beside it: index, phase lock, git lock, facts, set-up stamp
"""

import re
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from uuid import UUID

TEMPORARY_PREFIX = ".tmp-"
"""Of names that a killed process may leave, ending in the run's id; its next one, or the janitor, removes them."""

SPOOL_PREFIX = f"{TEMPORARY_PREFIX}pack-"

_UNSAFE_IN_REF = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class ClonePlace:
    folder: Path

    @property
    def git_dir(self) -> Path:
        return self.folder / "repo.git"

    @property
    def lock_file(self) -> Path:
        return self.folder / "repo.lock"

    @property
    def temporary_git_dir(self) -> Path:
        return self.folder / f"{TEMPORARY_PREFIX}repo.git"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"


@dataclass(frozen=True)
class RunPlace:
    clone: ClonePlace
    run_id: UUID

    @property
    def worktree(self) -> Path:
        return self.clone.runs / str(self.run_id)

    @property
    def temporary_worktree(self) -> Path:
        return self.clone.runs / f"{TEMPORARY_PREFIX}{self.run_id}"

    @property
    def trash(self) -> Path:
        return self.clone.runs / f"{TEMPORARY_PREFIX}trash-{self.run_id}"

    @property
    def new_private_git(self) -> Path:
        return self.clone.runs / f"{TEMPORARY_PREFIX}new-git-{self.run_id}"

    @property
    def old_private_git(self) -> Path:
        return self.clone.runs / f"{TEMPORARY_PREFIX}old-git-{self.run_id}"

    def new_spool(self) -> Path:
        """A file for a pack on its way to or from the artifact store."""
        return self.clone.runs / f"{SPOOL_PREFIX}{token_hex(8)}-{self.run_id}"

    @property
    def index(self) -> Path:
        return self._beside("index")

    @property
    def work_index(self) -> Path:
        """The index that git writes; it replaces `index` when an operation is through."""
        return self._beside("index.work")

    @property
    def scratch_index(self) -> Path:
        return self._beside("index.scratch")

    @property
    def phase_lock(self) -> Path:
        return self._beside("lock")

    @property
    def guard_lock(self) -> Path:
        """Held by the sandbox's guard while a command's processes live (activities name it the same way)."""
        return self._beside("guard")

    @property
    def git_lock(self) -> Path:
        return self._beside("git.lock")

    @property
    def facts(self) -> Path:
        return self._beside("json")

    @property
    def setup_stamp(self) -> Path:
        return self._beside("setup")

    @property
    def agents(self) -> Path:
        """Homes of the run's external agents (adapters/agents/folders.py names it the same way)."""
        return self._beside("agent")

    @property
    def base_ref(self) -> str:
        return f"refs/millwright-base/{self.run_id}"

    @property
    def tree_refs(self) -> str:
        return f"refs/millwright/{self.run_id}"

    def tree_ref(self, label: str) -> str:
        """A label may hold anything; the ref holds its safe form."""
        return f"{self.tree_refs}/{_UNSAFE_IN_REF.sub('-', label).strip('-') or 'tree'}"

    def _beside(self, suffix: str) -> Path:
        return self.clone.runs / f"{self.run_id}.{suffix}"


@dataclass(frozen=True)
class Layout:
    root: Path
    """`workspaces` in the state folder."""

    @property
    def git_config(self) -> Path:
        return self.root / "git.config"

    def clone(self, workspace_id: UUID) -> ClonePlace:
        return ClonePlace(self.root / str(workspace_id))

    def run(self, workspace_id: UUID, run_id: UUID) -> RunPlace:
        return RunPlace(self.clone(workspace_id), run_id)
