"""The bare clone of a workspace: made once, given the base commits of runs, never a copy of the user's config."""

import shutil
from pathlib import Path

from adapters.workspace import failures
from adapters.workspace.git import Git, Output, served_by
from adapters.workspace.kinds import is_partial
from adapters.workspace.layout import ClonePlace
from adapters.workspace.locks import held
from adapters.workspace.repository import checked_path
from domain.errors import InvalidInput

CLONE_SECONDS = 3600.0
"""The first fetch of a very large repository; another run of the workspace waits as long for its turn."""

_CONFIG = {
    "sha1": b"[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
    "sha256": b"[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = sha256\n",
}
"""All that the clone's config ever holds; anything else was planted and is put back before git runs there."""


_STEERING = (
    "info/attributes",
    "info/exclude",
    "info/grafts",
    "objects/info/alternates",
    "objects/info/http-alternates",
)
"""Files that we never make and that change what git reads or hides: another encoding of files, objects of elsewhere."""


def guard_config(place: ClonePlace) -> None:
    """Puts the clone's own config back when it is not exactly ours, and removes what else would steer git there. About
    30 microseconds."""
    for planted in _STEERING:
        (place.git_dir / planted).unlink(missing_ok=True)
    path = place.git_dir / "config"
    head = place.git_dir / "HEAD"
    if not head.is_file():
        _write(head, b"ref: refs/heads/main\n")
    found = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    if found not in _CONFIG.values():
        _write(path, _CONFIG["sha256" if b"sha256" in found else "sha1"])


def ensure_base(git: Git, place: ClonePlace, repo_path: str, commit: str, ref: str) -> None:
    """The clone exists, has the commit, and keeps it by the ref. Idempotent; safe beside other runs of the workspace.

    Raises InvalidInput when the repository has no such commit.
    """
    place.folder.mkdir(parents=True, exist_ok=True)
    with held(place.lock_file, wait_seconds=CLONE_SECONDS) as lock:
        git = git.at(place.folder, held_locks=(*git.held_locks, lock))
        if not place.git_dir.is_dir():
            create(git, place, git.in_repository(checked_path(repo_path)).run("rev-parse", "--show-object-format").text)
        guard_config(place)
        git = git.at(place.git_dir, git_dir=place.git_dir)
        _remove_stale_locks(place, ref)
        if git.try_run("cat-file", "-e", f"{commit}^{{tree}}").code != 0:
            _fetch(git, place, repo_path, commit, ref)
        git.run("update-ref", ref, commit)


def create(git: Git, place: ClonePlace, object_format: str) -> None:
    """An empty clone; its lock is held. `object_format`: sha1 or sha256."""
    shutil.rmtree(place.temporary_git_dir, ignore_errors=True)
    created = place.temporary_git_dir
    git.run("init", "--bare", "--quiet", "--template=", f"--object-format={object_format}", str(created))
    _write(created / "config", _CONFIG[object_format])
    created.rename(place.git_dir)


def _fetch(git: Git, place: ClonePlace, repo_path: str, commit: str, ref: str) -> None:
    """By upload-pack, never by hard links: the agent's side must share no file with the user's repository."""
    source = checked_path(repo_path)
    fetched = _fetched(git, source, commit, ref)
    if fetched.code == 0:
        return
    _remove_half_packs(place)
    if "not our ref" in fetched.stderr or "bad object" in fetched.stderr or "invalid refspec" in fetched.stderr:
        raise InvalidInput(
            f"The repository {source} has no commit {commit}",
            hint="It may have been rewritten since the run was asked for; start the run again.",
            field="repo",
        )
    if not is_partial(git.in_repository(source)):
        raise failures.from_git(f"fetch from {source}", place.git_dir, fetched.stderr)
    if _fetched(git, source, commit, ref, "--depth=1").code != 0:
        _remove_half_packs(place)
        raise InvalidInput(
            f"The repository {source} is a partial clone, and lacks files of the commit {commit}",
            hint="Nothing is fetched into it by us. Complete it (`git fetch --refetch --no-filter`), or have its files "
            "there (`git sparse-checkout disable`, `git checkout HEAD`); then start the run again.",
            field="repo",
        )


def _fetched(git: Git, source: Path, commit: str, ref: str, *more: str) -> Output:
    return git.try_run(
        "fetch",
        "--quiet",
        "--no-write-fetch-head",
        "--no-auto-gc",
        "--no-recurse-submodules",
        "--update-shallow",
        *more,
        f"--upload-pack={served_by(git.binary, 'upload-pack')}",
        "--",
        str(source),
        f"{commit}:{ref}",
        timeout_seconds=CLONE_SECONDS,
    )


def _remove_half_packs(place: ClonePlace) -> None:
    for leftover in (place.git_dir / "objects" / "pack").glob("tmp_*"):
        leftover.unlink(missing_ok=True)


def _remove_stale_locks(place: ClonePlace, ref: str) -> None:
    """Left by a git that was killed while it held the clone's lock, which is ours now."""
    for path in (place.git_dir / "packed-refs.lock", place.git_dir / "shallow.lock", place.git_dir / f"{ref}.lock"):
        path.unlink(missing_ok=True)
    for path in (place.git_dir / "refs" / "tags").rglob("*.lock"):
        path.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    temporary.write_bytes(content)
    temporary.replace(path)
