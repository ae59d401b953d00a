"""What lies between two trees. Works on objects alone: needs no lock and no worktree."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from adapters.workspace.git import BIG_FILE_BYTES, Git
from adapters.workspace.globs import matching
from adapters.workspace.layout import RunPlace
from domain.workspaces.ports import DiffStat

STEERING_FILES = (
    "conftest.py",
    "pytest.ini",
    ".pytest.ini",
    "tox.ini",
    "sitecustomize.py",
    "usercustomize.py",
    "jest.config.*",
    "vitest.config.*",
    ".mocharc.*",
    "karma.conf.*",
)
"""Files that a test runner takes up by their name alone, and that can make every test pass."""
_HIDDEN_FILES = (".gitattributes", "*.pyc", "*.pyo")
_PLAIN = ("-r", "--no-ext-diff", "--no-textconv", "--find-renames", "--full-index")


def diff(git: Git, old_tree: str, new_tree: str, *, limit_bytes: int) -> str:
    """Unified diff, at most the limit and one line that says that it was cut. Bytes that are no UTF-8 become �."""
    shown, cut = git.read_capped("diff-tree", "-p", *_PLAIN, old_tree, new_tree, limit_bytes=limit_bytes)
    text = shown.decode(errors="replace")
    return f"{text}\n[the diff is cut here: it is longer than {limit_bytes:,} bytes]\n" if cut else text


def diff_stat(git: Git, old_tree: str, new_tree: str) -> DiffStat:
    """Binary files count as changed, without lines. Lines are None when a changed file is too large to be read."""
    said = git.run("diff-tree", "--raw", "--numstat", *_PLAIN, old_tree, new_tree).text.split("\n")
    counts = [line.split("\t")[:2] for line in said if line and not line.startswith(":")]
    if ["-", "-"] in counts and _any_is_big(git, [line for line in said if line.startswith(":")]):
        return DiffStat(files_changed=len(counts), insertions=None, deletions=None)
    inserted, deleted = (sum(int(each[side]) for each in counts if each[side] != "-") for side in (0, 1))
    return DiffStat(files_changed=len(counts), insertions=inserted, deletions=deleted)


def _any_is_big(git: Git, raw: Sequence[str]) -> bool:
    """Of the blobs before and after, in lines as `:100644 100644 <sha> <sha> M<tab>path`."""
    blobs = {sha for line in raw for sha in line.split()[2:4]}
    sizes = git.run("cat-file", "--batch-check=%(objectsize)", stdin="\n".join(sorted(blobs)).encode()).text
    return any(size.isdecimal() and int(size) > BIG_FILE_BYTES for size in sizes.splitlines())


def changed_files(git: Git, old_tree: str, new_tree: str) -> dict[str, str]:
    """Path to status letter (A, M, D, T); a rename is a deletion and an addition."""
    words = git.run("diff-tree", "-r", "-z", "--no-renames", "--name-status", old_tree, new_tree).paths
    return dict(zip(words[1::2], words[::2], strict=True))


@dataclass(frozen=True)
class Tampered:
    """What of a tree must not steer its verification."""

    put_back: tuple[str, ...]
    """Files that a verification sees as they are at base."""
    told: tuple[str, ...]
    """Those of them that are protected, and new files that steer the tests from beside: named, sorted."""


def tampered(git: Git, base_tree: str, tree: str, protected: Sequence[str]) -> Tampered:
    """Protected files that existed at base and are not the same in the tree. With them are put back attributes of git,
    which can give a file other bytes on its way to the disk, and bytecode, which stands for a source file."""
    if not protected:
        return Tampered((), ())
    changes = changed_files(git, base_tree, tree)
    existed = [path for path, status in changes.items() if status != "A"]
    changed = matching(protected, existed)
    new = [path for path, status in changes.items() if status == "A" and _is_named(path, STEERING_FILES)]
    hidden = [path for path in changes if _is_named(path, _HIDDEN_FILES)]
    return Tampered(tuple(sorted({*changed, *hidden})), tuple(sorted({*changed, *new})))


def _is_named(path: str, patterns: Sequence[str]) -> bool:
    name = path.rpartition("/")[2]
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def changes_ignore_rules(git: Git, base_tree: str, tree: str) -> bool:
    return any(path.rpartition("/")[2] == ".gitignore" for path in changed_files(git, base_tree, tree))


def with_files_of(git: Git, place: RunPlace, tree: str, base_tree: str, files: Sequence[str]) -> str:
    """A tree like `tree`, in which these files are as they are in the base tree, or not there as there. The run's git
    lock is held."""
    scratch = place.scratch_index
    git = git.at(place.clone.git_dir, index=scratch)
    _remove(place)
    try:
        git.run("read-tree", tree)
        gone = b"".join(os.fsencode(name) + b"\0" for name in files)
        git.run("update-index", "-z", "--force-remove", "--stdin", stdin=gone)
        wanted = {os.fsencode(name) for name in files}
        at_base = git.run("ls-tree", "-r", "-z", "--full-tree", base_tree).stdout.split(b"\0")
        chosen = b"".join(entry + b"\0" for entry in at_base if entry.partition(b"\t")[2] in wanted)
        git.run("update-index", "-z", "--replace", "--index-info", stdin=chosen)
        return git.run("write-tree").text
    finally:
        _remove(place)


def _remove(place: RunPlace) -> None:
    for leftover in (place.scratch_index, place.scratch_index.with_name(place.scratch_index.name + ".lock")):
        leftover.unlink(missing_ok=True)
