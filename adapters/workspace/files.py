"""Reading and writing single files of a worktree for a model, without ever leaving it.

Each folder of a path is opened from the one before it, without following links: a link that is put in place
between a check and the write cannot lead outside.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from adapters.workspace import failures
from adapters.workspace.git import Git
from adapters.workspace.globs import matching
from adapters.workspace.mtimes import later
from domain.errors import PhaseFailure
from domain.runs.failure import ErrorKind

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def write(worktree: Path, files: Mapping[str, str | None]) -> None:
    """All paths are checked before the first file changes. Raises PhaseFailure(invalid_output)."""
    checked = {path: _parts(path) for path in files}
    for path, parts in checked.items():
        _refuse_bad_place(worktree, path, parts, deleting=files[path] is None)
    for path, parts in sorted(checked.items(), key=lambda item: files[item[0]] is not None):  # deletions first
        text = files[path]
        try:
            if text is None:
                _delete(worktree, parts)
            else:
                _put(worktree, parts, text)
        except UnicodeEncodeError as error:
            raise _bad(path, f"its text is no valid Unicode ({error.reason})") from error
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            raise _bad(path, error.strerror or str(error)) from error


def read(git: Git, worktree: Path, globs: Sequence[str], *, limit_bytes: int) -> dict[str, str]:
    """Whole text files while they fit; one that does not fit is named with its size instead of its text."""
    listed = git.run("ls-files", "-z", "--cached", "--others", "--exclude-standard").paths
    found: dict[str, str] = {}
    left = limit_bytes
    for path in matching(globs, dict.fromkeys(listed)):
        content = _content(worktree, path, left)
        if content is None:
            continue
        cost = len(content.encode()) + len(os.fsencode(path))
        if cost > left:
            break
        found[failures.printable(path)] = content
        left -= cost
    return found


def _parts(path: str) -> list[str]:
    parts = path.split("/")
    if path.startswith("/"):
        raise _bad(path, "it is absolute")
    if "\0" in path or not path:
        raise _bad(path, "it is no file name")
    for part in parts:
        if part in ("", ".", ".."):
            raise _bad(path, f"it has the part {part!r}")
        if part.lower() == ".git":
            raise _bad(path, "it lies in .git")
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise _bad(path, "its name is no valid Unicode") from error
    return parts


def _refuse_bad_place(worktree: Path, path: str, parts: list[str], *, deleting: bool) -> None:
    here = worktree
    for part in parts[:-1]:
        here = here / part
        try:
            mode = here.lstat().st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise _bad(path, error.strerror or str(error)) from error
        if stat.S_ISLNK(mode):
            raise _bad(path, f"{here.relative_to(worktree)} is a symbolic link")
        if not stat.S_ISDIR(mode):
            raise _bad(path, f"{here.relative_to(worktree)} is a file, not a folder")
    try:
        mode = (here / parts[-1]).lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _bad(path, error.strerror or str(error)) from error
    if stat.S_ISDIR(mode):
        raise _bad(path, "it is a folder")
    if stat.S_ISLNK(mode) and not deleting:
        raise _bad(path, "it is a symbolic link")


@contextlib.contextmanager
def _folder_of(worktree: Path, parts: list[str], *, create: bool) -> Iterator[int]:
    descriptor = os.open(worktree, _FOLDER)
    try:
        for part in parts[:-1]:
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
            inner = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _put(worktree: Path, parts: list[str], text: str) -> None:
    """Under a temporary name, then renamed; an executable file stays executable."""
    body = text.encode()
    with _folder_of(worktree, parts, create=True) as folder:
        name, temporary = parts[-1], f".millwright-{secrets.token_hex(8)}"
        try:
            old = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            old = None
        mode = stat.S_IMODE(old.st_mode) if old else 0o644
        try:
            opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
            with os.fdopen(opened, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(body)
                file.flush()
                times = later(old, os.fstat(file.fileno())) if old else None
                if times is not None:
                    os.utime(file.fileno(), ns=times)
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise


def _delete(worktree: Path, parts: list[str]) -> None:
    with (
        contextlib.suppress(FileNotFoundError),
        _folder_of(worktree, parts, create=False) as folder,
    ):
        os.unlink(parts[-1], dir_fd=folder)


def _content(worktree: Path, path: str, left: int) -> str | None:
    """None for what is no text file: links, binary content, gone since it was listed."""
    try:
        with _folder_of(worktree, path.split("/"), create=False) as folder:
            descriptor = os.open(path.rpartition("/")[2], _FILE, dir_fd=folder)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return None
        if found.st_size > left:
            return f"[left out: {found.st_size:,} bytes are more than the room left for files]\n"
        body = file.read(left + 1)
    return None if b"\0" in body else body.decode(errors="replace")


def _bad(path: str, why: str) -> PhaseFailure:
    shown = path if len(path) <= 200 else path[:199] + "…"
    return failures.failure(
        ErrorKind.INVALID_OUTPUT,
        f"The file {shown!r} cannot be written: {why}",
        hint="Give paths relative to the root of the repository, of regular files inside it.",
    )
