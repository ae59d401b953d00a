"""The lock of a worktree: two trees of processes never edit one worktree. Standard library only (the guard loads it).

The lock is an flock, which the kernel frees with its last holder. The file names the holder, so that a later command
can end it, and can end what a holder left that was itself killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import os
import signal
import time
from collections.abc import Callable

from adapters.sandbox import proctree, scratch, users

TYPE_CHECKING = False  # typing would add 5 ms to every start
if TYPE_CHECKING:
    from typing import Any

POLL_SECONDS = 0.02
ENDING_SECONDS = 4.0
"""From TERM to the holder's watcher until it is killed: its own grace and a little more."""
GIVE_UP_SECONDS = 12.0
"""After the waiting time: what cannot be ended from here (another host, another user) is reported, not waited for."""


def open_file(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(lock: int) -> dict[str, Any] | None:
    body = os.pread(lock, 65536, 0)
    if not body:
        return None
    try:
        holder = marshal.loads(body)
    except (EOFError, ValueError, TypeError):
        return None  # half written: its writer was killed before it had started anything
    return holder if isinstance(holder, dict) else None


def _signal_holder(holder: dict[str, Any], number: int) -> None:
    process = proctree.read(holder["watcher"])
    if process is not None and process.started == holder["started"]:
        proctree.send(process, number)


def take(
    lock: int, request: dict[str, Any], listen: Callable[[float], str | None], say_waiting: Callable[[], None]
) -> str | None:
    """None when we hold it; else why not. `listen` waits a moment and returns a reason to give up, if there is one."""
    began = time.monotonic()
    sent: list[int] = []
    if not _try(lock):
        say_waiting()
        while not _try(lock):
            if (stop := listen(POLL_SECONDS)) is not None:
                return stop
            waited = time.monotonic() - began - request["lock_wait_seconds"]
            if waited > GIVE_UP_SECONDS:
                return f"the worktree is held by another command that cannot be ended from here ({request['lock']})"
            holder = _holder(lock)
            if holder is None or waited < 0:
                continue
            if not sent:
                sent.append(signal.SIGTERM)
                _signal_holder(holder, signal.SIGTERM)
            elif waited > ENDING_SECONDS and len(sent) == 1:
                sent.append(signal.SIGKILL)
                _signal_holder(holder, signal.SIGKILL)
                proctree.end_marked(holder["mark"])
    left = _holder(lock)
    if left is not None:
        proctree.end_marked(left["mark"])  # its guard and watcher were killed together
        if left.get("user"):
            users.end_left(left["user"])
        scratch.remove_folder(left["remove"])
    watcher = proctree.read(os.getppid())
    _write(
        lock,
        {
            "watcher": os.getppid(),
            "started": watcher.started if watcher else 0,
            "mark": request["mark"],
            "remove": request["remove"],
            "user": request["user"],
        },
    )
    return None


def _write(lock: int, holder: dict[str, Any]) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, marshal.dumps(holder), 0)


def leave(lock: int, watcher: int) -> None:
    """Takes the holder's name away, if it is ours; the kernel frees the lock when the process ends."""
    holder = _holder(lock)
    if holder is not None and holder["watcher"] == watcher:
        with contextlib.suppress(OSError):
            os.ftruncate(lock, 0)
