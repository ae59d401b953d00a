"""A run's worktree: made at its base, read as a tree, made equal to a tree.

Our git sees the worktree only from outside: its git directory is the bare clone, its index lies beside the
worktree. The `.git` inside is a repository of the run's own, for the commands that run there; our git never
opens it, so nothing that is planted in it (hooks, config) can act on us, on the clone or on another run.

An operation links the index to a working name, lets git write that, and renames it back: a process killed at
any moment leaves the old index or the new one.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from adapters.workspace import failures, nested, private_git
from adapters.workspace.abandoned import remove_abandoned
from adapters.workspace.clone import guard_config
from adapters.workspace.folders import make_accessible, remove_folder
from adapters.workspace.git import Git, Output
from adapters.workspace.layout import RunPlace
from adapters.workspace.mtimes import moved_on
from adapters.workspace.trees import changed_files
from domain.base import Frozen
from domain.runs.failure import ErrorKind

GITLINK = b"160000 "
"""Mode of a submodule in `ls-tree` and `ls-files --stage`."""


class WorktreeFacts(Frozen):
    """What must be known of a worktree beside it; written before the worktree appears."""

    base_commit: str
    has_submodules: bool = False
    """Their pointers stay as they are at base; their content is set-up's work."""

    @classmethod
    def read(cls, place: RunPlace) -> "WorktreeFacts":
        return cls.model_validate_json(place.facts.read_bytes())

    def write(self, place: RunPlace) -> None:
        temporary = place.facts.with_name(place.facts.name + ".tmp")
        temporary.write_text(self.model_dump_json())
        temporary.replace(place.facts)


@dataclass
class KnownTrees:
    """Which tree an index file is, by its inode, size and time: spares `git write-tree` when nothing changed."""

    _known: dict[Path, tuple[tuple[int, int, int], str]] = field(default_factory=dict)

    def tree_of(self, index: Path) -> str | None:
        found = self._known.get(index)
        return found[1] if found and found[0] == _identity(index) else None

    def remember(self, index: Path, tree: str) -> None:
        self._known[index] = (_identity(index), tree)

    def forget(self, index: Path) -> None:
        self._known.pop(index, None)


def _identity(index: Path) -> tuple[int, int, int]:
    found = index.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


class Worktree:
    """The worktree of one run, while its git lock is held (adapters/workspace/runs.py opens it)."""

    def __init__(self, git: Git, place: RunPlace, known: KnownTrees, *, folder: Path | None = None) -> None:
        guard_config(place.clone)
        self._place = place
        self._known = known
        self._folder = folder or place.worktree
        self._facts = WorktreeFacts.read(place)
        self.git = git.at(self._folder, git_dir=place.clone.git_dir, work_tree=self._folder, index=place.work_index)

    def check_out_first(self) -> None:
        """Fills the folder from the base; there is no index yet."""
        remove_folder(self._folder)
        self._folder.mkdir(parents=True)
        self._place.index.unlink(missing_ok=True)
        self._known.forget(self._place.index)
        self._begin()
        self._read_tree(self._base_tree)
        self._end(None)
        self.renew_private_git()

    def as_tree(self) -> str:
        """Writes what is there (ignored files apart) as a tree; its hash. Raises PhaseFailure(invalid_output) for
        files that git cannot hold."""
        staged = self._stage()
        if staged.code == 0:
            return self._written_tree()
        if staged.code == _FATAL and not self._is_about_files(staged):
            raise failures.from_git("add", self._folder, staged.stderr)
        raise failures.failure(
            ErrorKind.INVALID_OUTPUT,
            f"Git cannot hold a file of the worktree: {failures.first_line(staged.stderr)}",
            excerpt=staged.stderr,
            hint="Delete, rename or ignore the files that the excerpt names.",
        )

    def make_equal(self, tree: str) -> None:
        """Ignored files stay, other untracked ones go. Does nothing when the worktree is that tree already."""
        there = self._written_tree() if self._stage().code == 0 else None
        if there == tree:
            if not private_git.is_there(self._folder):
                self.renew_private_git()
            return
        self._begin()
        with moved_on(self._folder, changed_files(self.git, there, tree) if there else ()):
            self._read_tree(tree)
            # Files that the old .gitignore hid, empty folders, nested repositories: what read-tree does not see.
            self._twice_if_denied("clean", "-ffdq")
        self._end(tree)
        self.renew_private_git()

    def forget_bytecode(self) -> None:
        """Python's own caches beside the sources: a planted one is taken instead of the source that it stands for.
        Those of what set-up installed (in folders that are ignored as a whole) stay."""
        ignored = (
            self.git.at(self._folder, index=self._place.index)
            .run("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory", "--no-empty-directory")
            .paths
        )
        for name in ignored:
            if name.endswith((".pyc", ".pyo", "__pycache__/")):
                remove_folder(self._folder / name.rstrip("/"))

    def renew_private_git(self) -> None:
        private_git.rebuild(self.git, self._place, self._folder, self._facts.base_commit)

    @property
    def _base_tree(self) -> str:
        return f"{self._facts.base_commit}^{{tree}}"

    def _begin(self) -> None:
        work = self._place.work_index
        for leftover in (work, work.with_name(work.name + ".lock")):
            leftover.unlink(missing_ok=True)
        if self._place.index.exists():
            try:
                work.hardlink_to(self._place.index)
            except OSError:  # a file system without hard links; the time must stay, git compares it with the files'
                shutil.copy2(self._place.index, work)

    def _end(self, tree: str | None) -> None:
        work, index = self._place.work_index, self._place.index
        if not work.exists():  # a tree without files needs no index
            return
        if index.exists() and os.path.samestat(work.stat(), index.stat()):
            work.unlink()
        else:
            work.replace(index)
        if tree is not None:
            self._known.remember(index, tree)

    def _stage(self) -> Output:
        """Brings the working index up to what is there. Code 0: all of it; else stderr names what git left out.

        Raises PhaseFailure(storage)."""
        self._begin()
        added = self._add_all()
        if "Permission denied" in added.stderr:  # only a warning, for a folder whose files would then be missing
            make_accessible(self._folder)
            added = self._add_all()
        if added.code == _FATAL and not self._is_about_files(added) and not failures.is_full(self._folder):
            self._place.index.unlink(missing_ok=True)  # torn by a power loss; it is only a cache
            added = self._add_all()
        if nested.mentioned(added.stderr):
            self._begin()
            added = nested.add_as_files(self.git, self._place)
        if added.code != 0:
            cause = failures.from_git("add", self._folder, added.stderr)
            if cause.error.kind is ErrorKind.STORAGE:
                remove_abandoned(self._place.clone.git_dir)
                raise cause
        return added

    @staticmethod
    def _is_about_files(added: Output) -> bool:
        return any(words in added.stderr for words in _ABOUT_FILES) or nested.mentioned(added.stderr)

    def _add_all(self) -> Output:
        if not self._place.index.exists():
            self._begin()
            self.git.run("read-tree", self._base_tree)
            self._hold_submodules()
        return self.git.try_run("add", "--all", "--ignore-errors")

    def _written_tree(self) -> str:
        """Of the working index; the operation ends with it."""
        work, index = self._place.work_index, self._place.index
        if index.exists() and work.exists() and os.path.samestat(work.stat(), index.stat()):
            known = self._known.tree_of(index)
            if known is not None:
                work.unlink()
                return known
        tree = self.git.run("write-tree").text
        self._end(tree)
        return tree

    def _read_tree(self, tree: str) -> None:
        self._twice_if_denied("read-tree", "--reset", "-u", tree)
        self._hold_submodules()

    def _twice_if_denied(self, *command: str) -> None:
        done = self.git.try_run(*command)
        if done.code != 0 and "Permission denied" in done.stderr:
            make_accessible(self._folder)
            done = self.git.try_run(*command)
        if done.code != 0:
            raise failures.from_git(command[0], self._folder, done.stderr)

    def _hold_submodules(self) -> None:
        """`git add` would run `git status`, and so a planted fsmonitor, inside a submodule that it looks at."""
        if self._facts.has_submodules:
            entries = self.git.run("ls-files", "-z", "--stage").stdout.split(b"\0")
            names = [entry.partition(b"\t")[2] for entry in entries if entry.startswith(GITLINK)]
            stdin = b"".join(name + b"\0" for name in names)
            self.git.run("update-index", "-z", "--skip-worktree", "--stdin", stdin=stdin)


_FATAL = 128
_ABOUT_FILES = ("invalid path", "BOM is ", "failed to encode", "working-tree-encoding")
"""The last three: a `.gitattributes` of the run asks for an encoding that its files do not have."""
