"""One process of the stack: how it is started, known again, watched and ended.

A process is known by pid *and* start time, never by name, so that a pid that was given to somebody else is never
signalled. Who it is stands in its lock file, written by the process itself (`cli.stack.launch`) before it becomes the
service; the lock is held until the last process that inherited it is gone, so that no service ever runs twice.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ALREADY_RUNNING = 75
"""The launcher's exit code (EX_TEMPFAIL) when somebody else holds the lock."""
POLL_SECONDS = 0.05
LEFT_BEHIND_SECONDS = 5.0
"""The guards of phases end their process trees themselves when the worker is gone; killed, they could not."""

PR_SET_DUMPABLE = 4

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Started by this process and not yet reaped; a supervisor also watches some that it adopted."""


@dataclass(frozen=True)
class Service:
    """What to run. `user` only matters when we are root; `stop_signals` are tried in turn, each given its seconds."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    lock: Path
    log: Path
    user: str | None = None
    fingerprint: str = ""
    private: bool = False
    """The files that it makes are its owner's alone."""
    stop_signals: Sequence[tuple[int, float]] = field(default=((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)))


@dataclass(frozen=True)
class Record:
    """Who holds a lock file: written by the service itself."""

    pid: int
    started: str
    fingerprint: str
    log_offset: int

    @property
    def alive(self) -> bool:
        return start_token(self.pid) == self.started


def start_token(pid: int) -> str | None:
    """When the process started, as a text to compare; None when there is none (a zombie counts as none)."""
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None


def forbid_inspection() -> None:
    """No other process of the same user may read this one's memory or environment (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def read_record(lock: Path) -> Record | None:
    """The live process that the lock file names, else None."""
    try:
        record = Record(**json.loads(lock.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return record if record.alive else None


def launch(service: Service, *, tethered: bool = False) -> subprocess.Popen[bytes]:
    """Start it in a session of its own, its output appended to its log. `tethered`: it dies with this process."""
    service.log.parent.mkdir(parents=True, exist_ok=True)
    service.lock.parent.mkdir(parents=True, exist_ok=True)
    launcher = [sys.executable, "-I", "-m", "cli.stack.launch", "--lock", str(service.lock)]
    launcher += ["--fingerprint", service.fingerprint, "--cwd", str(service.cwd)]
    launcher += ["--user", service.user] if service.user else []
    launcher += ["--private"] if service.private else []
    if tethered:
        launcher += ["--tether", str(os.getpid()), "--tether-signal", str(int(service.stop_signals[0][0]))]
    with service.log.open("ab") as log:
        child = subprocess.Popen(
            [*launcher, "--log-offset", str(log.tell()), "--", *service.argv],
            env=dict(service.env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _children[child.pid] = child
    return child


def stop(record: Record, stop_signals: Sequence[tuple[int, float]]) -> None:
    """End the process by the first signal that works, then whatever is left of its session."""
    for number, seconds in stop_signals:
        if not _signal(record, number):
            break
        wait_gone(record, seconds)
    _reap()
    _sweep_session(record.pid)


def wait_gone(record: Record, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while record.alive:
        _reap()
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    _reap()
    return True


def last_lines(log: Path, offset: int = 0, count: int = 15) -> list[str]:
    """The end of a log, for an error message; at most 16 KB are read."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(offset if offset <= size else 0, size - 16_384))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []


def _signal(record: Record, number: int) -> bool:
    if not record.alive:
        return False
    try:
        os.kill(record.pid, number)
    except ProcessLookupError:
        return False
    return True


def _reap() -> None:
    """Every child that has ended, also those that somebody else killed: they would stay zombies."""
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            _children.pop(pid, None)


def _sweep_session(session: int) -> None:
    """Kill what is left in its session; the id stays taken as long as one of them lives. Guards get time to end."""
    deadline = time.monotonic() + LEFT_BEHIND_SECONDS
    while left := [process for process in psutil.process_iter() if _in_session(process.pid, session)]:
        if time.monotonic() > deadline:
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        time.sleep(POLL_SECONDS)


def _in_session(pid: int, session: int) -> bool:
    try:
        return os.getsid(pid) == session and start_token(pid) is not None
    except (ProcessLookupError, PermissionError):
        return False
