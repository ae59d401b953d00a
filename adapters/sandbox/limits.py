"""Limits of a command in words: which one it reached, as far as that can be known from outside."""

import errno
import os
import signal
from typing import Any

from domain.sandbox.ports import ResourceLimits

MEMORY_SHARE = 0.75
_NO_PROCESS = ("cannot fork", "fork: retry", "fork: resource temporarily", "can't start new thread", "pthread_create")
"""What shells and runtimes say when the kernel refuses them another process or thread."""
_SHELL_SIGNAL = 128
"""A shell's exit code for a child that a signal ended is this and the signal's number."""


def memory_share() -> int | None:
    """What the commands of one phase may hold where nobody says: most of this machine's memory."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * MEMORY_SHARE)
    except (OSError, ValueError):
        return None


def reached(limits: ResourceLimits, account: dict[str, Any], last_lines: str) -> str | None:
    """A sentence. `account` is the guard's."""
    code, number = account["exit_code"], account["signal"]
    ended_by = number if number is not None else (code or 0) - _SHELL_SIGNAL
    if account["reason"] == "memory_limit" and limits.memory_bytes is not None:
        return f"Its processes together held more memory than they may ({_size(limits.memory_bytes)})."
    if account["reason"] == "cpu_limit" and limits.cpu_seconds is not None:
        return f"Its processes together used more CPU time than they may ({limits.cpu_seconds:g} s)."
    said = last_lines.lower()
    failed = account["reason"] == "exited" and (code != 0 or number is not None)
    if limits.processes is not None and (
        account["most_threads"] >= limits.processes or (failed and any(words in said for words in _NO_PROCESS))
    ):
        return f"It ran as many processes and threads as it may ({limits.processes})."
    if not failed:
        return None
    if limits.file_bytes is not None and (ended_by == signal.SIGXFSZ or os.strerror(errno.EFBIG).lower() in said):
        return f"It wrote a file up to the size that it may have ({_size(limits.file_bytes)})."
    if limits.open_files is not None and os.strerror(errno.EMFILE).lower() in said:
        return f"It had as many files open as it may ({limits.open_files})."
    if ended_by == signal.SIGKILL:
        return "It was killed, but not by Millwright; the kernel does that when memory is short."
    return None


def _size(count: int) -> str:
    for unit, size in (("GB", 1024**3), ("MB", 1024**2), ("KB", 1024)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count} bytes"
