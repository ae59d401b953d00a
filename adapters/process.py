"""What every process of ours does first: it keeps its memory to itself, and says which setting is wrong."""

import ctypes
import sys

from pydantic import ValidationError

PR_SET_DUMPABLE = 4


def forbid_memory_reads() -> bool:
    """This process holds sessions and credentials: no child or neighbour of the same user may read its memory.

    Linux: /proc/<pid>/environ and ptrace are then closed to the same user. False where there is no such thing."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)


def settings_problem(error: ValidationError | ValueError) -> str:
    """Names the variables; never their values."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors())
