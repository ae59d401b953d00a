"""Bubblewrap, where it is there and works: a PID namespace, so that the tree cannot outlive its guard in any way."""

import subprocess
from functools import cache
from shutil import which

_ARGUMENTS = ("--unshare-pid", "--die-with-parent", "--bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc")
PROBE_SECONDS = 10.0


@cache
def wrapper(path: str) -> tuple[str, ...]:
    """The words to put before a command; empty where bubblewrap is missing on `path` or may not make namespaces."""
    found = which("bwrap", path=path)
    if found is None:
        return ()
    words = (found, *_ARGUMENTS, "--")
    try:
        done = subprocess.run(
            [*words, "/bin/true"], env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return words if done.returncode == 0 else ()
