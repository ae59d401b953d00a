"""`python -m cli.stack.launch ... -- COMMAND`: takes the lock, writes who it is, gives up rights, becomes COMMAND.

The process writes its own record, so that a supervisor killed just after the fork leaves no unknown child behind.
"""

import argparse
import ctypes
import fcntl
import json
import os
import pwd
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cli.stack.process import ALREADY_RUNNING, Service, start_token

PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="cli.stack.launch")
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--fingerprint", default="")
    parser.add_argument("--log-offset", type=int, default=0)
    parser.add_argument("--cwd", type=Path, required=True)
    parser.add_argument("--user")
    parser.add_argument("--private", action="store_true", help="files that it makes are its owner's alone")
    parser.add_argument("--tether", type=int, help="die when this parent dies (Linux)")
    parser.add_argument("--tether-signal", type=int, default=signal.SIGTERM, help="how it is told to")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    _take_lock(options.lock, options.fingerprint, options.log_offset)
    if options.user:
        _become(options.user)
    if options.tether:
        _tether(options.tether, options.tether_signal)
    if options.private:
        os.umask(0o077)
    os.chdir(options.cwd)
    os.execvp(options.command[0], options.command)


def become(service: Service) -> NoReturn:
    """Turn this process into the service, in the foreground, its output where ours goes."""
    _take_lock(service.lock, service.fingerprint, 0)
    os.chdir(service.cwd)
    os.execve(service.argv[0], list(service.argv), dict(service.env))


def _take_lock(lock: Path, fingerprint: str, log_offset: int) -> None:
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"{lock}: held by another process", file=sys.stderr)
        sys.exit(ALREADY_RUNNING)
    record = {
        "pid": os.getpid(),
        "started": start_token(os.getpid()),
        "fingerprint": fingerprint,
        "log_offset": log_offset,
    }
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(record).encode(), 0)
    os.set_inheritable(descriptor, True)


def _become(user: str) -> None:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def _tether(parent: int, number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        sys.exit("the parent is gone already")


if __name__ == "__main__":
    main(sys.argv[1:])
