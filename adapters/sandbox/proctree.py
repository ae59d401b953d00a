"""A process tree as /proc shows it: who is in it, its CPU time, and how to end it without hitting a stranger.

Standard library only, since the guard starts with it. Where there is no /proc (not Linux) a tree looks empty, and the
guard's process-group signal is all there is.
"""

# pathlib would double the guard's start-up time
# ruff: noqa: PTH110, PTH123, PTH208

import contextlib
import os
import signal

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Process:
    """One line of /proc/<pid>/stat."""

    __slots__ = ("cpu_ticks", "group", "parent", "pid", "session", "started", "state", "threads")

    def __init__(self, pid: int, fields: list[bytes]) -> None:
        self.pid = pid
        self.state = fields[0]
        self.parent = int(fields[1])
        self.group = int(fields[2])
        self.session = int(fields[3])
        # user, system, and the same of children that it has waited for
        self.cpu_ticks = int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
        self.threads = int(fields[17])
        self.started = int(fields[19])
        """Clock ticks since boot; with the pid it names one process for ever."""


def read(pid: int) -> Process | None:
    """None: it is gone."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        line = os.read(fd, 4096)
    except OSError:
        return None
    finally:
        os.close(fd)
    # the name in parentheses may hold anything, the fields after its last ")" are plain
    return Process(pid, line[line.rindex(b")") + 2 :].split())


def everyone() -> dict[int, Process]:
    """Every process that we can see, by pid."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return {}
    found = (read(int(name)) for name in names if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def _children(pid: int) -> list[int] | None:
    """None: this kernel does not list them (CONFIG_PROC_CHILDREN)."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    found: list[int] = []
    for task in tasks:
        try:
            fd = os.open(f"/proc/{pid}/task/{task}/children", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if os.path.exists(f"/proc/{pid}/task/{task}"):
                return None
            continue
        except OSError:
            continue
        try:
            while part := os.read(fd, 65536):
                found.extend(int(word) for word in part.split())
        except OSError:
            continue
        finally:
            os.close(fd)
    return found


def descendants(root: int) -> list[Process]:
    """Everyone below `root`, parents before children."""
    found: list[Process] = []
    waiting = [root]
    while waiting:
        children = _children(waiting.pop(0))
        if children is None:
            return _descendants_by_parent(root)
        for pid in children:
            process = read(pid)
            if process is not None:
                found.append(process)
                waiting.append(pid)
    return found


def _descendants_by_parent(root: int) -> list[Process]:
    below: dict[int, list[Process]] = {}
    for process in everyone().values():
        below.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    waiting = [root]
    while waiting:
        for process in below.get(waiting.pop(0), []):
            found.append(process)
            waiting.append(process.pid)
    return found


def cpu_seconds(tree: list[Process]) -> float:
    return sum(process.cpu_ticks for process in tree) / TICKS


def memory_bytes(tree: list[Process]) -> int:
    """What they hold beside programs, libraries and shared memory. Cheap, and too much for forks that share pages."""
    total = 0
    for process in tree:
        words = _read(f"/proc/{process.pid}/statm").split()
        if len(words) > 2:
            total += int(words[1]) - int(words[2])
    return total * PAGE_BYTES


def exact_memory_bytes(tree: list[Process]) -> int:
    """The same, with a page that several hold counted once. Walks their page tables."""
    total = 0
    for process in tree:
        rollup = _read(f"/proc/{process.pid}/smaps_rollup")
        found = [int(line.split()[1]) for line in rollup.splitlines() if line.startswith(b"Pss_Anon:")]
        total += found[0] * 1024 if found else memory_bytes([process])
    return total


def _read(path: str) -> bytes:
    """Empty: it is gone, or closed to us."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 4096)
    except OSError:
        return b""
    finally:
        os.close(fd)


def send(process: Process, number: int) -> None:
    """Signals exactly this process: a pid that was given to another one meanwhile is left alone."""
    try:
        handle = os.pidfd_open(process.pid)
    except AttributeError:
        with contextlib.suppress(OSError):
            os.kill(process.pid, number)
        return
    except OSError:
        return
    try:
        now = read(process.pid)
        if now is not None and now.started == process.started:
            signal.pidfd_send_signal(handle, number)
    except OSError:
        pass  # it is gone, or it belongs to another user: the caller looks again
    finally:
        os.close(handle)


def marked(mark: str, session: int | None = None) -> list[Process]:
    """Processes that carry `mark` (NAME=value) in the environment they started with, or belong to `session`.

    The last resort when no guard is left to ask: it misses only what left the session and dropped its environment.
    """
    needle = mark.encode()
    found: list[Process] = []
    for process in everyone().values():
        if process.pid == os.getpid() or process.state == b"Z":
            continue
        if session is not None and process.session == session:
            found.append(process)
            continue
        try:
            with open(f"/proc/{process.pid}/environ", "rb") as file:
                environment = file.read()
        except OSError:
            continue
        if needle in environment.split(b"\0"):
            found.append(process)
    return found


def end_marked(mark: str, session: int | None = None) -> int:
    """KILLs what `marked` finds until it finds nothing; returns how many were hit."""
    hit = 0
    for _ in range(50):
        found = marked(mark, session)
        if not found:
            break
        hit += len(found)
        for process in found:
            send(process, signal.SIGKILL)
    return hit
