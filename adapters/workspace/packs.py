"""Packs: the objects of a tree that a known tree lacks, as a file; and the way back from such files to the tree.

A pack is thin: a changed file is stored as its difference to the known tree's. What is in the known tree is found by
comparing the two trees, so the cost is that of the change, not that of the repository.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from adapters.workspace import clone, failures
from adapters.workspace.git import Git
from adapters.workspace.layout import RunPlace
from adapters.workspace.locks import held
from adapters.workspace.runs import keep
from adapters.workspace.worktree import GITLINK
from domain.runs.failure import ErrorKind
from domain.workspaces.packs import Checkpoint

_SHA256_LENGTH = 64
_DELETED = b"D"


def checkpoint(git: Git, place: RunPlace, *, known_tree: str, tree: str) -> Checkpoint:
    """`git` has the clone as its git directory; both trees are there."""
    if tree == known_tree:
        return Checkpoint(tree=tree, known_tree=known_tree, pack=None)
    wanted = b"".join(
        oid + b" " + path.replace(b"\n", b"?") + b"\n" for oid, path in _new_objects(git, known_tree, tree)
    )
    told = b"-" + known_tree.encode() + b"\n" + wanted
    pack = _packed(git, place, "--threads=1", stdin=told)
    return Checkpoint(tree=tree, known_tree=known_tree, pack=pack)


def pack_base(git: Git, place: RunPlace, base_commit: str) -> Path:
    """The commit as if it had no parents."""
    told = f"--shallow {base_commit}\n{base_commit}\n"
    return _packed(git, place, "--revs", "--shallow", stdin=told.encode())


def bundle(git: Git, place: RunPlace, *, ref: str, base_commit: str) -> Path:
    target = place.new_spool()
    made = git.try_run("bundle", "create", "--quiet", str(target), ref, f"^{base_commit}")
    if made.code != 0:
        target.unlink(missing_ok=True)
        raise failures.from_git("bundle", git.folder, made.stderr)
    return target


def is_whole(git: Git, tree: str) -> bool:
    """Whether every object of the tree is here and can be read: all are, so this is for when something failed."""
    if git.try_run("cat-file", "-e", f"{tree}^{{tree}}").code != 0:
        return False
    asked = f"{tree}\n".encode()
    nowhere = Path(os.devnull)
    return git.run_file("pack-objects", "--stdout", "--revs", "-q", "--window=0", stdin=asked, stdout=nowhere).code == 0


def rebuild(
    git: Git, place: RunPlace, *, base_commit: str, base: Path | None, packs: Sequence[Path], tree: str
) -> None:
    """The run's git lock is held. Raises PhaseFailure(storage) when the tree is not whole afterwards."""
    with held(place.clone.lock_file, wait_seconds=clone.CLONE_SECONDS) as lock:
        git = git.at(place.clone.folder, held_locks=(*git.held_locks, lock))
        if not place.clone.git_dir.is_dir():
            clone.create(git, place.clone, "sha256" if len(base_commit) == _SHA256_LENGTH else "sha1")
        clone.guard_config(place.clone)
        git = git.at(place.clone.git_dir, git_dir=place.clone.git_dir)
        _remove_torn_objects(place)
        if base is not None:
            _take_in(git, base)
            _cut_history(git, place, base_commit)
            git.run("update-ref", place.base_ref, base_commit)
        for pack in packs:
            _take_in(git, pack)
        whole = git.try_run("rev-list", "--objects", "--quiet", tree, "--")
        if whole.code != 0:
            raise failures.failure(
                ErrorKind.STORAGE,
                f"The tree {tree} is not whole after its packs: {failures.last_line(whole.stderr)}",
                excerpt=whole.stderr,
                hint="A pack in the artifact store is damaged or gone; restore it, or start the run again.",
            )
        keep(git, place, f"rebuilt-{tree[:16]}", tree)


def rebuild_branch(git: Git, place: RunPlace, *, ref: str, bundle: Path, commit: str) -> None:
    """The run's git lock is held; the base is there."""
    taken = git.try_run("bundle", "unbundle", str(bundle), ref)
    if taken.code != 0:
        raise failures.from_git("bundle", git.folder, taken.stderr)
    (place.clone.git_dir / f"{ref}.lock").unlink(missing_ok=True)
    git.run("update-ref", ref, commit)


def _new_objects(git: Git, known_tree: str, tree: str) -> Iterator[tuple[bytes, bytes]]:
    """Hash and path of every tree and file that differs; submodules have no object here."""
    yield tree.encode(), b""
    seen = {tree.encode()}
    words = git.run(
        "diff-tree", "-r", "-t", "-z", "--raw", "--no-renames", "--no-abbrev", known_tree, tree
    ).stdout.split(b"\0")
    for entry, path in zip(words[:-1:2], words[1::2], strict=True):
        _, mode, _, oid, status = entry.split(b" ")
        if status != _DELETED and mode != GITLINK.strip() and oid not in seen:
            seen.add(oid)
            yield oid, path


def _packed(git: Git, place: RunPlace, *options: str, stdin: bytes) -> Path:
    target = place.new_spool()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        made = git.run_file(
            "pack-objects", "--stdout", "-q", "--delta-base-offset", *options, stdin=stdin, stdout=target
        )
        if made.code != 0:
            raise failures.from_git("pack-objects", git.folder, made.stderr)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def _take_in(git: Git, pack: Path) -> None:
    done = git.run_file("index-pack", "--stdin", "--fix-thin", stdin=pack)
    if done.code == 0:
        return
    for leftover in (Path(git.folder) / "objects" / "pack").glob("tmp_*"):
        leftover.unlink(missing_ok=True)
    raise failures.from_git("index-pack", git.folder, done.stderr)


def _remove_torn_objects(place: RunPlace) -> None:
    """Empty files, as a power loss leaves them; git would not take in the same object again over them."""
    for loose in (place.clone.git_dir / "objects").glob("[0-9a-f][0-9a-f]/*"):
        if loose.stat().st_size == 0:
            loose.unlink(missing_ok=True)


def _cut_history(git: Git, place: RunPlace, commit: str) -> None:
    """The base has parents that are not here: git must not look for them."""
    missing = [parent for parent in _parents(git, commit) if git.try_run("cat-file", "-e", parent).code != 0]
    if not missing:
        return
    shallow = place.clone.git_dir / "shallow"
    known = shallow.read_text().split() if shallow.exists() else []
    if commit not in known:
        temporary = shallow.with_name("shallow.tmp")
        temporary.write_text("".join(f"{each}\n" for each in sorted({*known, commit})))
        temporary.replace(shallow)


def _parents(git: Git, commit: str) -> list[str]:
    head = git.run("cat-file", "commit", commit).stdout.partition(b"\n\n")[0]
    return [line.split()[1].decode() for line in head.splitlines() if line.startswith(b"parent ")]
