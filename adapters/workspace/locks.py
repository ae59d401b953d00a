"""Advisory locks by flock: the kernel frees them when the last process that holds the descriptor is gone."""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from adapters.workspace import failures
from domain.runs.failure import ErrorKind

_POLL_SECONDS = 0.05
GIT_LOCK_SECONDS = 120.0
"""Longer than any single git operation on one worktree should take; a clone is waited for longer."""


def try_lock(path: Path) -> int | None:
    """An open, locked descriptor; None when another one holds the lock. The holder's process id is in the file."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(path, descriptor):
                os.pwrite(descriptor, f"{os.getpid():<20}\n".encode(), 0)
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its file was removed meanwhile: lock the new one


def _is_still(path: Path, descriptor: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


def is_held(path: Path) -> bool:
    """Whether another one holds it now. Neither makes nor changes the file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    with released_after(descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def holder_of(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        return f"process {int(path.read_text())}"
    return "another process"


@contextlib.contextmanager
def held(path: Path, *, wait_seconds: float = GIT_LOCK_SECONDS) -> Iterator[int]:
    """Blocking form for threads. Gives the descriptor, to be handed to git children."""
    deadline = time.monotonic() + wait_seconds
    while (descriptor := try_lock(path)) is None:
        if time.monotonic() >= deadline:
            raise _busy(path, wait_seconds)
        time.sleep(_POLL_SECONDS)
    with released_after(descriptor):
        yield descriptor


@contextlib.contextmanager
def released_after(descriptor: int) -> Iterator[None]:
    """Lets the lock go at the end."""
    try:
        yield
    finally:
        os.close(descriptor)


class PhaseLock:
    """Held on a worktree while a phase works in it. `async with`; not re-entrant."""

    def __init__(self, path: Path, *, wait_seconds: float) -> None:
        self._path, self._wait_seconds = path, wait_seconds
        self._descriptor: int | None = None

    async def __aenter__(self) -> "PhaseLock":
        deadline = time.monotonic() + self._wait_seconds
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while (descriptor := try_lock(self._path)) is None:
            if time.monotonic() >= deadline:
                raise _busy(self._path, self._wait_seconds)
            await asyncio.sleep(_POLL_SECONDS)
        self._descriptor = descriptor
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def fileno(self) -> int:
        """For a guard that must keep the lock as long as it lives. Raises ValueError when not held."""
        if self._descriptor is None:
            raise ValueError(f"{self._path} is not held")
        return self._descriptor


def _busy(path: Path, waited_seconds: float) -> Exception:
    return failures.failure(
        ErrorKind.WORKER_LOST,
        f"{holder_of(path)} still holds {path} after {waited_seconds:g} s",
        hint="An earlier execution of this run is still ending; the phase is tried again. "
        "If it stays so, end that process.",
    )
