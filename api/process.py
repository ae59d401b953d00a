"""This process holds sessions and credentials: no child or neighbour of the same user may read its memory."""

import ctypes
import sys

PR_SET_DUMPABLE = 4


def forbid_memory_reads() -> bool:
    """Linux: /proc/<pid>/environ and ptrace are then closed to the same user. False where there is no such thing."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
