"""The folders of an external agent, beside the run's worktree: `<run id>.agent/<executor>/{home,given}`.

What lies below `home` was written by the agent and may be anything: links, pipes, a million files. We follow no link
there and write nothing there.
"""

import asyncio
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from domain.agents.external import AgentFolder
from domain.errors import PhaseFailure
from domain.pipelines.spec import AgentExecutor
from domain.runs.failure import ErrorKind, PhaseError


class LocalAgentFolders:
    """Implements domain.agents.external.AgentFolders."""

    def of(self, worktree: Path, executor: AgentExecutor) -> AgentFolder:
        folder = worktree.with_name(f"{worktree.name}.agent") / executor
        return AgentFolder(home=folder / "home", given=folder / "given")

    async def knows_agent(self, folder: AgentFolder) -> bool:
        return await asyncio.to_thread(folder.home.is_dir)

    async def give(self, folder: AgentFolder, files: Mapping[str, str]) -> None:
        try:
            await asyncio.to_thread(_give, folder, files)
        except OSError as error:
            raise PhaseFailure(_no_room(folder, error)) from error

    async def problems(self, folder: AgentFolder, *, limit_bytes: int) -> str:
        return await asyncio.to_thread(_end_of, folder.problems, limit_bytes)


def _give(folder: AgentFolder, files: Mapping[str, str]) -> None:
    folder.given.parent.mkdir(parents=True, exist_ok=True)
    if folder.given.exists():
        shutil.rmtree(folder.given)
    folder.given.mkdir(mode=0o755)
    for name, text in files.items():
        file = folder.given / name
        file.write_text(text, encoding="utf-8", errors="replace")
        file.chmod(0o644)


def _end_of(file: Path, limit_bytes: int) -> str:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return ""
        os.lseek(descriptor, max(0, found.st_size - limit_bytes), os.SEEK_SET)
        return os.read(descriptor, limit_bytes).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _no_room(folder: AgentFolder, error: OSError) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.STORAGE,
        message=f"The folder of the agent, {folder.given}, could not be filled: {error.strerror or error}.",
        hint="Free space on that file system, or give the worker write access to it; then it is tried again.",
    )
