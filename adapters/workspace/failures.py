"""Every way that git or the disk can fail, as the one error that the phase protocol understands."""

import errno
import os
import re
from pathlib import Path

from domain.errors import PhaseFailure
from domain.runs.failure import EXCERPT_LIMIT, ErrorKind, PhaseError

_DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_DISK_WORDS = ("No space left on device", "Disk quota exceeded", "Read-only file system", "Input/output error")
"""Git hands on strerror (LC_ALL=C) and gives every failure the same exit code, so its words must decide here."""

_FULL_BYTES = 64 * 1024

_URL_USER = re.compile(r"(?<=://)[^/@\s]+@")


def without_credentials(text: str) -> str:
    """A URL may carry a token; no message of ours repeats it."""
    return _URL_USER.sub("***@", text)


def failure(kind: ErrorKind, message: str, *, excerpt: str = "", hint: str = "") -> PhaseFailure:
    return PhaseFailure(
        PhaseError(
            kind=kind,
            message=without_credentials(message),
            excerpt=without_credentials(excerpt)[-EXCERPT_LIMIT:],
            hint=hint,
        )
    )


def disk_failure(path: Path, words: str) -> PhaseFailure:
    return failure(
        ErrorKind.STORAGE,
        f"The disk could not be written at {path}: {words}",
        hint=f"Free space on the file system of {path}, or move the state folder; the phase is then tried again.",
    )


def from_os_error(error: OSError, path: Path) -> PhaseFailure:
    if error.errno in _DISK_ERRNOS:
        return disk_failure(path, error.strerror or str(error))
    return failure(
        ErrorKind.WORKSPACE,
        f"{error.filename or path}: {error.strerror or error}",
        hint=f"Check that the worker's user may read and write {path}.",
    )


def from_git(what: str, place: Path | str, stderr: str) -> PhaseFailure:
    """`what`: the git command that failed. `place`: the folder where it worked, or the remote's address."""
    words = next((words for words in _DISK_WORDS if words in stderr), None)
    if words is not None or (isinstance(place, Path) and is_full(place)):
        return disk_failure(Path(place), words or f"no space left ({last_line(stderr)})")
    return failure(
        ErrorKind.WORKSPACE,
        f"git {what} failed in {place}: {last_line(stderr) or 'it said nothing'}",
        excerpt=stderr,
        hint="The excerpt has git's own words. If it names damaged objects, see `git fsck` in that repository.",
    )


def is_full(path: Path) -> bool:
    """For git's messages that leave out why a write failed."""
    existing = next((folder for folder in (path, *path.parents) if folder.exists()), None)
    if existing is None:
        return False
    space = os.statvfs(existing)
    return space.f_bavail * space.f_frsize < _FULL_BYTES or (space.f_files > 0 and space.f_favail == 0)


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("hint:")]
    return lines[-1] if lines else ""


def first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def printable(path: str) -> str:
    """A file name that is no UTF-8, as people and JSON can take it."""
    return os.fsencode(path).decode(errors="replace")
