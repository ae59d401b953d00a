"""`millwright up`: start the supervisor, or find it running, and follow it until all is ready."""

import fcntl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cli.stack import temporal_binary
from cli.stack.down import take_down
from cli.stack.process import Record, Service, last_lines, launch, read_record
from cli.stack.reach import check_reach
from cli.stack.settings import StackSettings
from cli.stack.state import ProcessStatus, StackStatus, StateFolder, read_status
from domain.errors import Unavailable

SUPERVISOR = "supervisor"
GIVE_UP_FAILURES = 4
"""Starts of one process in a row that end before it is ready: then it will not get better by itself."""
GIVE_UP_SECONDS = 180.0

HINTS = {
    "postgres": "is the disk full, or the data folder of another user? `millwright doctor` checks both",
    "migrate": "the database may belong to a newer version of Millwright; see the log",
    "temporal": "see the log; a damaged temporal.db can be moved away: the record in PostgreSQL stands without it",
    "worker": "see the log; `millwright doctor` checks what it needs",
    "api": "see the log; `millwright doctor` checks what it needs",
}

Say = Callable[[str], None]
Watch = Callable[[str, ProcessStatus], None]


@dataclass(frozen=True)
class Outcome:
    status: StackStatus
    was_running: bool


def bring_up(settings: StackSettings, folder: StateFolder, *, say: Say, watch: Watch) -> Outcome:
    """Return when every process is ready; `watch` is told each change of one.

    Raises Unavailable naming the process, the end of its log and what to do; what was started is ended again then.
    """
    check_reach(settings)
    if told := folder.create():
        say(told)
    with one_command_at_a_time(folder):
        if supervisor := read_record(folder.lock(SUPERVISOR)):
            status = read_status(folder)
            was_running = status is not None and status.supervisor_pid == supervisor.pid and status.ready
            return Outcome(_follow(folder, supervisor, watch), was_running)
        left_over = any(read_record(lock) for lock in folder.run.glob("*.lock"))
        service = supervisor_service(settings, folder, say)
        child = launch(service)
        try:
            while (supervisor := read_record(folder.lock(SUPERVISOR))) is None:
                if child.poll() is not None:
                    raise _unavailable(SUPERVISOR, "ended at once", folder)
                time.sleep(0.02)
            return Outcome(_follow(folder, supervisor, watch), False)
        except (Unavailable, KeyboardInterrupt):
            if not left_over:
                take_down(folder)
            raise


def supervisor_service(settings: StackSettings, folder: StateFolder, say: Say) -> Service:
    """How the supervisor is started; gets the Temporal program first, so that a build is seen here."""
    environment = {**settings.everything(), "MILLWRIGHT_STATE_DIR": str(folder.path)}
    if settings.temporal_address is None:
        binary = temporal_binary.obtain(
            folder.bin, given=settings.temporal_cli, search_path=settings.search_path, say=say
        )
        environment["TEMPORAL_CLI"] = str(binary.path)
        say(f"Temporal server: {binary.path} ({binary.origin})")
    return Service(
        name=SUPERVISOR,
        argv=[sys.executable, "-P", "-m", "cli.stack"],
        env=environment,
        cwd=folder.path,
        lock=folder.lock(SUPERVISOR),
        log=folder.log(SUPERVISOR),
    )


def _follow(folder: StateFolder, supervisor: Record, watch: Watch) -> StackStatus:
    seen: dict[str, ProcessStatus] = {}
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while True:
        if not supervisor.alive:
            raise _unavailable(SUPERVISOR, "ended", folder, last_lines(folder.log(SUPERVISOR), supervisor.log_offset))
        status = read_status(folder)
        if status and (status.supervisor_pid, status.supervisor_started) == (supervisor.pid, supervisor.started):
            for name, process in status.processes.items():
                if seen.get(name) != process:
                    watch(name, process)
                if process.failures >= GIVE_UP_FAILURES:
                    raise _unavailable(name, process.problem or "does not start", folder)
            seen = dict(status.processes)
            if status.ready:
                return status
        if time.monotonic() > deadline:
            late = [name for name, process in seen.items() if process.state not in ("ready", "done")]
            name = late[0] if late else SUPERVISOR
            raise _unavailable(name, f"not ready after {GIVE_UP_SECONDS:.0f} s", folder, last_lines(folder.log(name)))
        time.sleep(0.05)


def _unavailable(name: str, problem: str, folder: StateFolder, lines: list[str] | None = None) -> Unavailable:
    text = "\n".join([f"{name}: {problem}", *(lines or ())])
    return Unavailable(text, hint=f"{HINTS.get(name, 'see the log')}\nlog: {folder.log(name)}")


@contextmanager
def one_command_at_a_time(folder: StateFolder) -> Iterator[None]:
    """`up` and `down` of one state folder wait for each other."""
    with (folder.run / "command.flock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
