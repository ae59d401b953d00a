"""Starts a guard's command: session, limits, privileges, descriptors, exec. Standard library only."""

# pathlib would double the guard's start-up time
# ruff: noqa: PTH101, PTH103, PTH112, PTH116, PTH118, PTH123

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys

from adapters.sandbox import proctree, users

TYPE_CHECKING = False  # typing would add 5 ms to every start
if TYPE_CHECKING:
    from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_ROOT_KEEPS = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}
"""Capabilities of a command that root starts, by number: those that containers leave to their root. Without ptrace it
cannot look into the worker, without sys_admin not leave its mounts."""


_HIGHEST_DESCRIPTOR = 1 << 20
"""Above any limit of open files that a worker has; the kernel closes a whole range at once."""


def prctl(option: int, value: int) -> int:
    """Linux only; elsewhere the process group is the only hold on the tree."""
    if not sys.platform.startswith("linux"):
        return -1
    return int(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0))


def _drop_capabilities() -> None:
    number = 0
    while prctl(_PR_CAPBSET_READ, number) >= 0:
        if number not in _ROOT_KEEPS:
            prctl(_PR_CAPBSET_DROP, number)
        number += 1


def _limit(which: int, value: int | None) -> None:
    if value is None:
        return
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))


def _processes_of_user() -> int:
    """Threads that this user runs already: the kernel counts them against RLIMIT_NPROC, we do not."""
    user, count = os.getuid(), 0
    for process in proctree.everyone().values():
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{process.pid}").st_uid == user:
                count += process.threads
    return count


def close_others(*kept: int) -> None:
    """Leaves standard input, output, error and these open, and nothing else: what a process inherits by accident (an
    event loop's sockets, a lock file) must reach neither guard nor command, whichever loop started them."""
    last = 2
    for number in sorted({number for number in kept if number > 2}):
        os.closerange(last + 1, number)
        last = number
    os.closerange(last + 1, _HIGHEST_DESCRIPTOR)


class Streams:
    """Descriptors of the command's standard streams: one for output and error with an empty input, or all three."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers

    def connect(self) -> None:
        """In the command."""
        if len(self.numbers) == 1:
            given, output = os.open("/dev/null", os.O_RDWR), self.numbers[0]
        else:
            given, output = self.numbers[1:]
        os.dup2(given, 0)
        os.dup2(output, 1)
        os.dup2(self.numbers[0], 2)

    def close(self) -> None:
        for number in self.numbers:
            os.close(number)


def _become_command(request: dict[str, Any], streams: Streams, guard: int, trouble: int) -> NoReturn:
    """In the forked child: session, limits, descriptors, then exec. `trouble` closes with the exec."""
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:
        os._exit(127)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")  # short of memory, the kernel takes a command before it takes a worker or a database
    limits = request["limits"]
    processes, user = limits["processes"], request["user"]
    if processes is not None and os.getuid() != 0:
        processes += _processes_of_user() + bool(request["wrapper"])  # and bubblewrap's second one
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, limits["open_files"])
    _limit(resource.RLIMIT_NPROC, processes)
    _limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    if not request["wrapper"]:  # bubblewrap does both itself, and needs more before
        prctl(_PR_SET_NO_NEW_PRIVS, 1)
        if os.geteuid() == 0:
            _drop_capabilities()
        if user is not None:
            users.become(user)
    os.chdir(request["cwd"])
    streams.connect()
    close_others(trouble)
    argv = [*(word.replace("{user}", str(user)) for word in request["wrapper"]), *request["argv"]]
    os.execvpe(argv[0], argv, request["env"])


def _executable(argv0: str, path: str, cwd: str) -> bool:
    if "/" in argv0:
        return os.access(os.path.join(cwd, argv0), os.X_OK)
    return any(os.access(f"{folder}/{argv0}", os.X_OK) for folder in path.split(":") if folder)


def start(request: dict[str, Any], streams: Streams) -> int | str:
    """The command's pid, or why it could not be started."""
    if not os.path.isdir(request["cwd"]):
        return f"the folder {request['cwd']} does not exist"
    if not _executable(request["argv"][0], request["env"].get("PATH", ""), request["cwd"]):
        return f"no program {request['argv'][0]!r} on PATH {request['env'].get('PATH', '')}"
    user = request["user"]
    for folder in request["make"]:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if user is not None and folder.startswith(request["remove"]):
            os.chown(folder, user, user)
    if user is not None:
        os.chmod(request["remove"], 0o711)
        users.add_to_accounts(request["remove"], user, request["env"]["HOME"])
    guard = os.getpid()
    trouble_in, trouble_out = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _become_command(request, streams, guard, trouble_out)
        except BaseException as error:  # noqa: BLE001 - it is told to the guard, and this process ends
            os.write(trouble_out, f"{type(error).__name__}: {error}".encode()[:4000])
            os._exit(127)
    os.close(trouble_out)
    trouble = os.read(trouble_in, 4096)
    os.close(trouble_in)
    return trouble.decode(errors="replace") if trouble else pid
