"""WorktreeFiles: reading, listing and searching a run's worktree for an agent, without ever leaving it.

Our git looks at the worktree from outside (its git directory is the clone), so nothing planted in the worktree's own
`.git` configures it. A folder of a path is opened from the one before it, never through a link.
"""

import asyncio
import os
import stat
from pathlib import Path
from uuid import UUID

from adapters.workspace import failures
from adapters.workspace.calls import GitCalls
from adapters.workspace.git import Git
from adapters.workspace.globs import matching
from adapters.workspace.layout import RunPlace
from domain.agents.ports import FoundFile, Lines
from domain.errors import PhaseFailure
from domain.runs.failure import ErrorKind

SEARCH_SECONDS = 30.0
"""A pattern may take for ever to match; its git is ended then."""
SEARCH_BYTES = 2 * 1024**2
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class GitWorktreeFiles:
    """`calls` runs blocking git work for the folder of workspaces; the caller closes it."""

    def __init__(self, calls: GitCalls) -> None:
        self._calls = calls

    async def read(self, workspace_id: UUID, run_id: UUID, path: str, *, limit_bytes: int) -> FoundFile:
        place = self._calls.layout.run(workspace_id, run_id)
        return await self._calls.call(lambda _: _read(place.worktree, path, limit_bytes))

    async def listing(self, workspace_id: UUID, run_id: UUID, pattern: str, *, limit: int) -> Lines:
        def listed(git: Git) -> Lines:
            found = matching([pattern], _unignored(git, place))
            return Lines(lines=tuple(failures.printable(path) for path in found[:limit]), cut=len(found) > limit)

        place = self._calls.layout.run(workspace_id, run_id)
        return await self._calls.on_clone(place, listed)

    async def search(self, workspace_id: UUID, run_id: UUID, pattern: str, glob: str, *, limit: int) -> Lines:
        """Raises PhaseFailure(invalid_output) for a pattern that git cannot read, or that takes too long."""
        place = self._calls.layout.run(workspace_id, run_id)
        try:
            async with asyncio.timeout(SEARCH_SECONDS):
                return await self._calls.on_clone(place, _search, place, pattern, glob, limit)
        except TimeoutError:
            raise _refused(pattern, f"the search took longer than {SEARCH_SECONDS:g} s; make it narrower") from None


def _read(worktree: Path, path: str, limit_bytes: int) -> FoundFile:
    parts = _parts(path)
    try:
        descriptor = os.open(worktree, _FOLDER)
        try:
            for part in parts[:-1]:
                inner = os.open(part, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            opened = os.open(parts[-1], _FILE, dir_fd=descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _refused(path, _why(worktree, parts, error)) from None
    found = os.fstat(opened)
    if not stat.S_ISREG(found.st_mode):
        os.close(opened)
        is_folder = stat.S_ISDIR(found.st_mode)
        raise _refused(path, "it is a folder: use list_files" if is_folder else "it is no regular file")
    with os.fdopen(opened, "rb") as file:
        body = file.read(limit_bytes + 1)
    if b"\0" in body:
        return FoundFile(text=None, size_bytes=found.st_size)
    cut = len(body) > limit_bytes
    text = body[:limit_bytes].decode(errors="ignore" if cut else "replace")
    if cut:  # whole lines: a part of a secret would not be recognized
        text = text[: text.rfind("\n") + 1] or text
    return FoundFile(text=text, size_bytes=found.st_size, cut=cut)


def _why(worktree: Path, parts: list[str], error: OSError) -> str:
    """A link answers with different errors on its way; it is named as what it is."""
    here = worktree
    for part in parts:
        here = here / part
        try:
            if stat.S_ISLNK(here.lstat().st_mode):
                return f"{here.relative_to(worktree)} is a symbolic link"
        except OSError:
            break
    return {2: "there is no such file", 20: "a part of it is no folder"}.get(error.errno or 0, error.strerror or "?")


def _parts(path: str) -> list[str]:
    path = path.removeprefix("./")
    if path.startswith("/"):
        raise _refused(path, "it is absolute; give it relative to the root of the repository")
    parts = path.split("/")
    if not path or "\0" in path or any(part in ("", ".") for part in parts):
        raise _refused(path, "it is no file name")
    if ".." in parts:
        raise _refused(path, "it leaves the repository")
    if any(part.lower() == ".git" for part in parts):
        raise _refused(path, "it lies in .git")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise _refused(path, "its name is no valid Unicode") from None
    return parts


def _at_worktree(git: Git, place: RunPlace) -> Git:
    """Without an index: everything that git does not ignore counts as untracked."""
    return git.at(
        place.worktree, git_dir=place.clone.git_dir, work_tree=place.worktree, index=place.index.with_suffix(".none")
    )


def _unignored(git: Git, place: RunPlace) -> list[str]:
    return _at_worktree(git, place).run("ls-files", "-z", "--others", "--exclude-standard").paths


def _search(git: Git, place: RunPlace, pattern: str, glob: str, limit: int) -> Lines:
    if "\0" in pattern or "\n" in pattern:
        raise _refused(pattern, "a pattern is one line of text")
    command = ("grep", "--no-index", "--exclude-standard", "--no-color", "-n", "-I", "-E", "-e", pattern)
    names = [] if glob in ("", "*", "**") else ["--", glob]
    try:
        found, cut = _at_worktree(git, place).read_capped(*command, *names, limit_bytes=SEARCH_BYTES)
    except PhaseFailure as failure:
        if failure.error.kind is not ErrorKind.WORKSPACE:
            raise
        if not failure.error.excerpt.strip():  # nothing was found: git says so by its exit code alone
            return Lines(lines=())
        raise _refused(pattern, failures.first_line(failure.error.excerpt)) from None
    lines = found.decode(errors="replace").splitlines()
    whole = lines[:-1] if cut else lines
    return Lines(lines=tuple(whole[:limit]), cut=cut or len(whole) > limit)


def _refused(what: str, why: str) -> PhaseFailure:
    shown = what if len(what) <= 200 else what[:199] + "…"
    return failures.failure(ErrorKind.INVALID_OUTPUT, f"{shown!r} cannot be read: {why}.")
