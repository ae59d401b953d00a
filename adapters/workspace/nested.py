"""Repositories inside a worktree: their files are kept as files of the tree.

Git itself would store such a folder as a pointer to a commit that only the folder has, and lose the files;
and once an index holds a pointer, `git add` runs `git status` inside, with that repository's own config.
So the pointer never reaches an index that is kept: the files are added one by one, after which git treats the
folder as an ordinary one.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from adapters.workspace.git import Git, Output
from adapters.workspace.layout import RunPlace

_MAX_DEPTH = 20


def mentioned(stderr: str) -> bool:
    return "adding embedded git repository" in stderr or "does not have a commit checked out" in stderr


def add_as_files(git: Git, place: RunPlace) -> Output:
    """On a fresh copy of the index. What `git add --all` then says."""
    found = [name for name in git.run("ls-files", "-z", "--others", "--exclude-standard").paths if name.endswith("/")]
    files = [name for repository in found for name in _files(git, place, repository, _MAX_DEPTH)]
    wanted = _not_ignored(git, files)
    git.run("update-index", "-z", "--add", "--stdin", stdin=_lines(wanted))
    added = git.try_run("add", "--all", "--ignore-errors")
    if mentioned(added.stderr):  # those of which every file is ignored
        git.run("update-index", "-z", "--force-remove", "--stdin", stdin=_lines(n.rstrip("/") for n in found))
        return Output(0, added.stdout, "")
    return added


def _files(git: Git, place: RunPlace, repository: str, depth: int) -> list[str]:
    """Seen as a worktree of its own, its `.git` is passed over like any worktree's."""
    folder = Path(place.worktree, repository)
    inside = git.at(folder, work_tree=folder, index=place.scratch_index)
    files: list[str] = []
    for name in inside.run("ls-files", "-z", "--others", "--exclude-standard").paths:
        if not name.endswith("/"):
            files.append(repository + name)
        elif depth > 0:
            files.extend(_files(git, place, repository + name, depth - 1))
    return files


def _not_ignored(git: Git, names: list[str]) -> list[str]:
    """By the outer rules as well as by the repository's own."""
    if not names:
        return []
    ignored = set(git.try_run("check-ignore", "-z", "--no-index", "--stdin", stdin=_lines(names)).paths)
    return [name for name in names if name not in ignored]


def _lines(names: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in names)
