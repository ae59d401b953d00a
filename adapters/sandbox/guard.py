"""The guard: the process that owns a command's process tree. Standard library only; it starts in about 15 ms.

    worker ──pipe──> watcher ──fork──> guard ──fork──> command (own session) ──> anything it starts

The guard is a child subreaper: whatever leaves the command's session or forks twice becomes its child again, so
"no child left" means that the whole tree is gone. It ends the tree (TERM, a short wait, KILL) when the command ends,
at the time limit, when told to, when the pipe to the worker closes, and when the worker has been silent for too long.
The watcher is a subreaper too and does nothing but wait: when the guard is killed, the tree falls to the watcher,
which KILLs it; when the watcher is killed, the guard gets a TERM from the kernel and ends the tree.

The request comes on standard input, reports leave on standard output, both as marshalled values behind four bytes of
length (the two sides are the same interpreter). After the request each byte on standard input is a sign of life, and
`k` the order to end the tree.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import resource
import select
import signal
import sys
import time

from adapters.sandbox import launch, own_user, proctree, scratch, users, worktree_lock
from adapters.sandbox.ending import end_tree, reap

TYPE_CHECKING = False  # typing would add 5 ms to every start
if TYPE_CHECKING:
    from typing import Any

KILL_ORDER = b"k"
SIGN_OF_LIFE = b"."

FIRST_LOOK_SECONDS, LOOK_SECONDS = 0.02, 0.25
"""Between looks at what the tree uses: soon at first, since a burst may be over quickly."""
CPU_REPORT_SECONDS = 1.0


def read_message(fd: int) -> Any:
    """Raises EOFError when the other side is gone."""
    return marshal.loads(_read_exactly(fd, int.from_bytes(_read_exactly(fd, 4), "big")))


def _read_exactly(fd: int, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        part = os.read(fd, size - len(got))
        if not part:
            raise EOFError
        got += part
    return bytes(got)


def message(value: Any) -> bytes:
    body = marshal.dumps(value)
    return len(body).to_bytes(4, "big") + body


class Reports:
    """What the worker hears: pairs of a word and a value. A worker that is gone is no error here."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def send(self, word: str, value: Any = None) -> None:
        with contextlib.suppress(OSError):
            os.write(self._fd, message((word, value)))


class Guard:
    """The process that starts the command, listens to the worker, and ends the tree."""

    def __init__(self, request: dict[str, Any], control: int, streams: launch.Streams, reports: Reports) -> None:
        self._request = request
        self._control = control
        self._streams = streams
        self._reports = reports
        self._statuses: dict[int, int] = {}
        self._stop: str | None = None
        self._most_threads = 0
        self._wrapped = 2 if request["wrapper"] else 0  # bubblewrap's own two processes
        self._heard = time.monotonic()
        wake_in, wake_out = os.pipe()
        os.set_blocking(wake_in, False)
        os.set_blocking(wake_out, False)
        self._wake = wake_in
        signal.set_wakeup_fd(wake_out, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_term)
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(wake_in, select.POLLIN)

    def _on_term(self, *_: object) -> None:
        self._stop = self._stop or "stopped"

    def listen(self, seconds: float) -> str | None:
        """Waits for a word of the worker, a signal or the time; a reason to end the tree, if there is one."""
        for fd, _ in self._poll.poll(max(0.0, seconds) * 1000):
            if fd == self._wake:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 4096)
                continue
            word = os.read(self._control, 4096)
            self._heard = time.monotonic()
            if not word:
                self._poll.unregister(self._control)
                self._stop = self._stop or "orphaned"
            elif KILL_ORDER in word:
                self._stop = self._stop or "killed"
        if time.monotonic() - self._heard > self._request["silence_seconds"]:
            self._stop = self._stop or "silent"
        return self._stop

    def run(self, lock: int | None) -> None:
        if lock is not None:
            refusal = worktree_lock.take(
                lock, self._request, self.listen, lambda: self._reports.send("waiting", self._request["lock"])
            )
            if self._stop is not None:
                self._reports.send("end", self._account(None, self._stop, all_gone=True))
                return
            if refusal is not None:
                self._reports.send("refused", refusal)
                return
        began = time.monotonic()
        if self._request["user"] is not None and not self._request["shown"]:
            users.give(self._request["show"], self._request["user"])
        started = launch.start(self._request, self._streams)
        self._streams.close()
        if isinstance(started, str):
            reap(self._statuses)
            self._reports.send("refused", started)
            return
        self._reports.send("started", started)
        reason = self._watch(started, began)
        self._count(proctree.descendants(os.getpid()))
        grace = 0.0 if reason in ("memory_limit", "process_limit") else self._request["grace_seconds"]
        all_gone = end_tree(started, grace, self._statuses, spare=self._wrapped)
        self._reports.send("end", self._account(started, reason, all_gone))

    def _watch(self, command: int, began: float) -> str:
        deadline = began + self._request["time_limit_seconds"]
        pause = FIRST_LOOK_SECONDS
        next_look = began + pause
        next_report = began + CPU_REPORT_SECONDS
        while True:
            reap(self._statuses)
            if command in self._statuses:
                return "exited"
            if self._stop is not None:
                return self._stop
            now = time.monotonic()
            if now >= deadline:
                return "time_limit"
            if now >= next_look:
                pause = min(2 * pause, LOOK_SECONDS)
                next_look = now + pause
                tree = proctree.descendants(os.getpid())
                cpu_seconds = self._cpu_seconds(tree)
                if now >= next_report:
                    next_report = now + CPU_REPORT_SECONDS
                    self._reports.send("cpu", cpu_seconds)
                if (reached := self._reached(tree, cpu_seconds)) is not None:
                    return reached
            self.listen(min(deadline, next_look) - time.monotonic())

    def _reached(self, tree: list[proctree.Process], cpu_seconds: float) -> str | None:
        self._count(tree)
        limits = self._request["limits"]
        memory = limits["memory_bytes"]
        if memory is not None and proctree.memory_bytes(tree) > memory and proctree.exact_memory_bytes(tree) > memory:
            return "memory_limit"
        if limits["cpu_seconds"] is not None and cpu_seconds > limits["cpu_seconds"]:
            return "cpu_limit"
        if limits["processes"] is not None and self._most_threads > limits["processes"]:
            return "process_limit"  # the kernel holds it for no root, and for others only beside what they run already
        return None

    def _count(self, tree: list[proctree.Process]) -> None:
        self._most_threads = max(self._most_threads, sum(process.threads for process in tree) - self._wrapped)

    def _cpu_seconds(self, tree: list[proctree.Process]) -> float:
        reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
        return proctree.cpu_seconds(tree) + reaped.ru_utime + reaped.ru_stime

    def _account(self, command: int | None, reason: str, all_gone: bool) -> dict[str, Any]:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        status = None if command is None else self._statuses.get(command)
        code = None if status is None else os.waitstatus_to_exitcode(status)
        number = None
        if code is not None and code < 0:
            number, code = -code, None
        elif code is not None and code > 128 and self._request["wrapper"]:
            number, code = code - 128, None  # bubblewrap passes a signal on as 128 + its number
        return {
            "reason": reason,
            "exit_code": code,
            "signal": number,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "most_threads": self._most_threads,
            "all_gone": all_gone,
        }


def _watch_over(guard: int, reports: Reports) -> None:
    """The watcher's life: wait for the guard; if it was killed, end what it left."""

    def pass_on(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(guard, signal.SIGTERM)

    signal.signal(signal.SIGTERM, pass_on)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == guard:
            break
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_tree(None, 0.0, {})
    if os.waitstatus_to_exitcode(status) != 0:
        reports.send("lost", os.waitstatus_to_exitcode(status))


def main() -> None:
    """Entry point; the arguments are descriptors: of the output pipe, or of those of error, input and output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    streams = launch.Streams([int(word) for word in sys.argv[1:]])
    launch.close_others(*streams.numbers)
    for number in streams.numbers:
        os.set_inheritable(number, False)
    control, report = os.dup(0), os.dup(1)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    request = read_message(control)
    reports = Reports(report)
    # opened before the fork, so that the lock is held until guard and watcher are both gone
    lock = worktree_lock.open_file(request["lock"]) if request["lock"] else None
    try:
        own_user.take(request)
    except OSError as error:
        reports.send("refused", str(error))
        return
    launch.prctl(launch.PR_SET_CHILD_SUBREAPER, 1)
    watcher = os.getpid()
    guard = os.fork()
    if guard == 0:
        launch.prctl(launch.PR_SET_PDEATHSIG, signal.SIGTERM)
        launch.prctl(launch.PR_SET_CHILD_SUBREAPER, 1)
        if os.getppid() == watcher:
            Guard(request, control, streams, reports).run(lock)
        os._exit(0)
    os.close(control)
    streams.close()
    _watch_over(guard, reports)
    own_user.give_back(request)
    if lock is not None:
        worktree_lock.leave(lock, watcher)
    if request["remove"]:
        scratch.remove_folder(request["remove"])
