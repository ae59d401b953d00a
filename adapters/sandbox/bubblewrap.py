"""Bubblewrap, where it is there and works: a PID namespace, so that the tree cannot outlive its guard in any way."""

import os
import subprocess
from functools import cache
from shutil import which

_ARGUMENTS = ("--unshare-pid", "--die-with-parent", "--bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc")
_ROOT_KEEPS = (
    "chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "net_bind_service", "net_raw",
    "sys_chroot", "mknod", "audit_write", "setfcap",
)  # fmt: skip
"""As in the guard: what containers leave to their root."""
PROBE_SECONDS = 10.0


@cache
def wrapper(path: str) -> tuple[str, ...]:
    """The words to put before a command; empty where bubblewrap is missing on `path` or may not make namespaces."""
    found = which("bwrap", path=path)
    if found is None:
        return ()
    keeps = [word for name in _ROOT_KEEPS for word in ("--cap-add", f"cap_{name}")] if os.geteuid() == 0 else []
    words = (found, *_ARGUMENTS, *(["--cap-drop", "ALL", *keeps] if keeps else []), "--")
    try:
        done = subprocess.run(
            [*words, "/bin/true"], env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return words if done.returncode == 0 else ()
