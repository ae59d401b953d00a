"""Keeps a process's environment and memory from its children: they run as the same user, and its keys are in there."""

import ctypes
import sys

_PR_SET_DUMPABLE = 4


def forbid_dumping() -> None:
    """First thing in the `__main__` of every process that holds a secret. Linux: /proc/<pid>/environ and mem, a
    debugger and core dumps are closed to this user's other processes. Elsewhere it does nothing."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
