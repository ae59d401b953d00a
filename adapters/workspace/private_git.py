"""The `.git` that commands in a worktree see: HEAD at the run's base, the tree as staged changes, the tags.

It borrows the clone's objects and owns nothing that matters; it is thrown away and made anew whenever a
worktree is restored to another tree.
"""

import shutil
from pathlib import Path

from adapters.workspace.folders import make_accessible, remove_folder
from adapters.workspace.git import Git
from adapters.workspace.layout import RunPlace

_BRANCH = "refs/heads/millwright"
_CONFIG = """\
[core]
\trepositoryformatversion = {version}
\tbare = false
\tlogAllRefUpdates = false
[user]
\tname = Millwright
\temail = millwright@localhost
[gc]
\tauto = 0
"""
_SHA256 = "[extensions]\n\tobjectFormat = sha256\n"
_SHA256_LENGTH = 64


def is_there(worktree: Path) -> bool:
    """A link or file in place of the folder is not ours."""
    folder = worktree / ".git"
    return not folder.is_symlink() and (folder / "HEAD").is_file()


def rebuild(git: Git, place: RunPlace, worktree: Path, base_commit: str) -> None:
    """`git` must have the clone as its git directory. Built beside the worktree and put in place by rename."""
    building, old, target = place.new_private_git, place.old_private_git, worktree / ".git"
    remove_folder(building)
    remove_folder(old)
    _build(git, place, building, base_commit)
    if target.exists() or target.is_symlink():
        try:
            target.rename(old)
        except PermissionError:
            make_accessible(worktree)
            target.rename(old)
    building.rename(target)
    remove_folder(old)


def _build(git: Git, place: RunPlace, folder: Path, base_commit: str) -> None:
    tags = git.run("for-each-ref", "--format=%(objectname) %(refname)", "refs/tags").stdout
    (folder / "objects" / "info").mkdir(parents=True)
    (folder / "refs" / "heads").mkdir(parents=True)
    is_sha256 = len(base_commit) == _SHA256_LENGTH
    _put(folder / "config", _CONFIG.format(version=int(is_sha256)) + (_SHA256 if is_sha256 else ""))
    _put(folder / "objects" / "info" / "alternates", f"{place.clone.git_dir / 'objects'}\n")
    _put(folder / _BRANCH, f"{base_commit}\n")
    _put(folder / "HEAD", f"ref: {_BRANCH}\n")
    (folder / "packed-refs").write_bytes(tags)
    if (place.clone.git_dir / "shallow").exists():
        shutil.copy2(place.clone.git_dir / "shallow", folder / "shallow")
    if place.index.exists():
        shutil.copy2(place.index, folder / "index")  # with its time, so that `git status` stays cheap


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
