"""Ending a process tree: TERM, a wait, KILL, until no child is left. Standard library only: the guard loads it."""

# pathlib would double the guard's start-up time
# ruff: noqa: PTH110

from __future__ import annotations

import contextlib
import os
import signal
import time

from adapters.sandbox import proctree

KILL_SECONDS = 5.0
"""How long KILL is repeated before we say that something cannot be killed (uninterruptible sleep)."""


def reap(statuses: dict[int, int]) -> bool:
    """Collects the dead. False: no child is left, dead or alive."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        statuses[pid] = status


def end_tree(group: int | None, grace_seconds: float, statuses: dict[int, int], spare: int = 0) -> bool:
    """Ends every descendant; True when none is left. `group` is the command's process group; the first `spare`
    processes below us get no TERM (bubblewrap, whose death would KILL what it holds without any grace)."""
    me = os.getpid()
    if not reap(statuses):
        return True
    if grace_seconds > 0:
        for process in proctree.descendants(me)[spare:]:
            proctree.send(process, signal.SIGTERM)
            proctree.send(process, signal.SIGCONT)
        if not os.path.exists("/proc") and group:
            _kill_group(group, signal.SIGTERM)
        until = time.monotonic() + grace_seconds
        while time.monotonic() < until:
            if not reap(statuses):
                return True
            time.sleep(0.01)
    until = time.monotonic() + KILL_SECONDS
    while time.monotonic() < until:
        tree = proctree.descendants(me)
        # a group is killed in one stroke of the kernel, which no fork outruns; the guard's own is not among them
        for each in {process.group for process in tree} - {os.getpgrp()} or {group} - {None}:
            _kill_group(each, signal.SIGKILL)
        for process in tree:
            proctree.send(process, signal.SIGKILL)
        if not reap(statuses):
            return True
        time.sleep(0.001)
    return False


def _kill_group(group: int | None, number: int) -> None:
    with contextlib.suppress(OSError):
        if group is not None:
            os.killpg(group, number)
