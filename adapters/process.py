"""What every process of ours does first and last: it keeps its memory to itself, says which setting is wrong, and
leaves."""

import ctypes
import os
import sys
from typing import NoReturn

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


def leave(code: int) -> NoReturn:
    """The end of a process that used a library with threads of its own underneath (Temporal's core, the artifact
    store's): it may abort while the interpreter winds up. Everything is flushed, so it leaves without that."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
