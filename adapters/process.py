"""What every process of ours does first: it keeps its memory to itself, and says which setting is wrong."""

import ctypes
import sys

from pydantic import ValidationError

_PR_SET_DUMPABLE = 4


def forbid_dumping() -> None:
    """First thing in the `__main__` of every process that holds a secret: commands run as the same user, and its keys
    are in its environment. Linux: /proc/<pid>/environ and mem, a debugger and core dumps are closed to this user's
    other processes. Elsewhere it does nothing."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def settings_problem(error: ValidationError | ValueError) -> str:
    """Names the variables; never their values."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors())
