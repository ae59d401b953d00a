"""Blocking git work for callers on an event loop: one hop to a thread; a cancelled call ends its git."""

import asyncio
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from adapters.workspace import failures
from adapters.workspace.clone import guard_config
from adapters.workspace.git import Git, Stop, base_environment, config_text
from adapters.workspace.layout import Layout, RunPlace
from domain.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 16
"""Calls that do git work at the same moment; more wait for a thread."""


class GitCalls:
    """`root` is the folder `workspaces` of the state folder. Close it at the end."""

    def __init__(self, root: Path, *, git: str | None = None) -> None:
        """Raises Unavailable when there is no git."""
        binary = git or shutil.which("git")
        if binary is None:
            raise Unavailable("The `git` command was not found", hint="Install git 2.34 or newer, and start again.")
        self.layout = Layout(root.absolute())
        self._git = Git(binary, Path("/"), base_environment(binary, self.layout.git_config))
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="git")

    def close(self) -> None:
        """Waits for the git work under way."""
        self._threads.shutdown()

    async def on_clone(
        self, place: RunPlace, work: Callable[Concatenate[Git, P], T], *args: P.args, **kw: P.kwargs
    ) -> T:
        """`work` with git on the run's clone; it needs no lock."""

        def with_clone(git: Git) -> T:
            guard_config(place.clone)
            return work(git.at(place.clone.git_dir, git_dir=place.clone.git_dir), *args, **kw)

        return await self.call(with_clone)

    async def call(self, work: Callable[Concatenate[Git, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """When the caller is cancelled, the git process is killed, and the thread waited for: it holds locks."""
        stop = Stop()

        def in_thread() -> T:
            try:
                self._keep_config()
                return work(self._git.with_stop(stop), *args, **kw)
            except OSError as error:
                raise failures.from_os_error(error, self.layout.root) from error

        future = asyncio.get_running_loop().run_in_executor(self._threads, in_thread)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            stop.now()
            await asyncio.wait([future])
            future.exception()
            raise

    def _keep_config(self) -> None:
        """The configuration file of our git holds what it should, whoever wrote to it."""
        path, text = self.layout.git_config, config_text()
        try:
            if path.read_text() == text:
                return
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
        temporary.write_text(text)
        temporary.replace(path)
