"""Commands that mean harm, each bounded by itself, and run only where the sandbox holds.

Nothing here may run under the plain guard, nor as root: the fixture skips unless the command has process numbers of its
own and an unprivileged user (its own, where the tests run as root).
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from activities.runs.command_phase import failure_of
from adapters.sandbox import users
from adapters.sandbox.guarded import GuardedSandbox
from domain.runs.failure import ErrorKind, PhaseError
from domain.sandbox.ports import Command, CommandEnd, CommandResult, ResourceLimits
from tests.adapters.sandbox.conftest import SEARCH_PATH, Bench, PlainRedactor

LAST_RESORT = "import signal; signal.alarm(60)\n"
"""Every script ends by itself, whatever the sandbox does."""
LIMITS = ResourceLimits(processes=200, file_bytes=1024**2, memory_bytes=200 * 1024**2, open_files=256)


class Prey(Bench):
    """A worktree among others, with things outside that must stay as they are."""

    def __init__(self, folder: Path) -> None:
        worktrees = folder / "state" / "workspaces"
        mine = worktrees / "w" / "runs" / "mine"
        self.other = worktrees / "w" / "runs" / "other"
        self.state = folder / "state"
        for place in (mine, self.other, worktrees / "w" / "repo.git" / "objects"):
            place.mkdir(parents=True)
        (mine / "own").write_text("own")
        (self.other / "secret").write_text("of another run")
        (self.state / "credentials.json").write_text("ours")
        sandbox = GuardedSandbox(
            PlainRedactor(), search_path=SEARCH_PATH, worktrees=worktrees, hidden=(self.state,), limits=LIMITS
        )
        super().__init__(sandbox, mine)

    async def suffer(
        self, code: str, *, stall_seconds: float = 20.0, limits: ResourceLimits | None = None
    ) -> tuple[CommandResult, PhaseError | None]:
        """What the sandbox says, and what the phase would."""
        argv = (sys.executable, "-c", LAST_RESORT + code)
        result = await self.run(argv, time_limit_seconds=30.0, stall_seconds=stall_seconds, limits=limits)
        return result, failure_of("the command", result, 30.0, stall_seconds)

    def nothing_survives(self) -> None:
        assert self.living() == []
        first, count = users.span() or (0, 0)
        mine = [user for user in _users_by_token(self.token) if first <= user < first + count]
        assert mine == []


def _users_by_token(token: str) -> list[int]:
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        try:
            if name.isdigit() and token.encode() in Path(f"/proc/{name}/environ").read_bytes():
                found.append(Path(f"/proc/{name}").stat().st_uid)
        except OSError:
            continue
    return found


@pytest.fixture
def prey(tmp_path: Path) -> Prey:
    made = Prey(tmp_path)
    command = Command(argv=("true",), cwd=made.cwd, time_limit_seconds=1, stall_seconds=1)
    holds = made.sandbox.protection(command)
    unprivileged = holds.own_user or os.geteuid() != 0
    if not (unprivileged and holds.own_processes and holds.own_files):
        pytest.skip(f"the sandbox does not hold here without bubblewrap: {' '.join(holds.gaps)}")
    return made


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    """A process of ours that a hostile command must not reach."""
    process = subprocess.Popen(["sleep", "300"])
    yield process
    process.kill()
    process.wait()


async def test_two_thousand_processes_against_a_limit_of_two_hundred(prey: Prey) -> None:
    result, error = await prey.suffer(
        """
import os, time
made = refused = 0
for _ in range(2000):
    try:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        made += 1
    except BlockingIOError:
        refused += 1
print(made, "made,", refused, "refused", flush=True)
time.sleep(1)
raise SystemExit(1)
"""
    )
    made, refused = (int(word) for word in result.output.split()[::2][:2])
    assert 150 < made < 200 and made + refused == 2000
    assert error is not None and error.kind is ErrorKind.COMMAND_FAILED
    assert "as many processes and threads as it may (200)" in error.excerpt
    assert "as many processes and threads as it may (200)" in error.message
    prey.nothing_survives()


async def test_processes_that_fork_in_every_child(prey: Prey) -> None:
    """A fork bomb of depth 11: up to 2,048 processes, none of which waits for another."""
    result, error = await prey.suffer(
        """
import os, time
for _ in range(11):
    try:
        os.fork()
    except BlockingIOError:
        pass
time.sleep(3)
os._exit(3)
"""
    )
    assert error is not None and error.kind is ErrorKind.COMMAND_FAILED
    assert result.limit == "It ran as many processes and threads as it may (200)."
    prey.nothing_survives()


async def test_a_file_that_grows_past_its_limit(prey: Prey) -> None:
    result, error = await prey.suffer(
        """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
with open("big", "wb", buffering=0) as file:
    for _ in range(64):
        file.write(b"x" * 1024 * 1024)
"""
    )
    assert (prey.cwd / "big").stat().st_size == 1024**2
    assert result.signal == "SIGXFSZ"
    assert error is not None and error.kind is ErrorKind.COMMAND_FAILED
    assert "It wrote a file up to the size that it may have (1 MB)." in error.excerpt


async def test_a_file_too_large_that_is_told_by_the_program(prey: Prey) -> None:
    result, error = await prey.suffer("open('big', 'wb').write(b'x' * 4 * 1024 * 1024)")
    assert result.exit_code == 1
    assert error is not None and "It wrote a file up to the size that it may have (1 MB)." in error.excerpt


async def test_too_many_open_files(prey: Prey) -> None:
    _, error = await prey.suffer("kept = [open('/dev/null') for _ in range(400)]")
    assert error is not None and "It had as many files open as it may (256)." in error.excerpt


async def test_memory_without_end(prey: Prey) -> None:
    result, error = await prey.suffer(
        """
import time
kept = []
for _ in range(100):
    kept.append(bytearray(b"x") * (10 * 1024 * 1024))
    time.sleep(0.02)
time.sleep(30)
"""
    )
    assert result.end is CommandEnd.MEMORY_LIMIT
    assert error is not None and error.kind is ErrorKind.COMMAND_FAILED
    assert "more memory than they may (200 MB)" in error.excerpt
    prey.nothing_survives()


async def test_memory_in_many_processes(prey: Prey) -> None:
    """None of them is above the limit alone."""
    result, _ = await prey.suffer(
        """
import os, time
for _ in range(8):
    if os.fork() == 0:
        kept = bytearray(b"x") * (50 * 1024 * 1024)
        time.sleep(30)
        os._exit(0)
time.sleep(30)
"""
    )
    assert result.end is CommandEnd.MEMORY_LIMIT
    prey.nothing_survives()


async def test_cpu_time(prey: Prey) -> None:
    code = "import os\nos.fork()\nwhile True: pass"
    result, error = await prey.suffer(code, limits=LIMITS.model_copy(update={"cpu_seconds": 1.0}))
    assert result.end is CommandEnd.CPU_LIMIT
    assert error is not None and error.kind is ErrorKind.TIME_LIMIT
    assert "more CPU time than they may (1 s)" in error.excerpt
    prey.nothing_survives()


async def test_a_sleep_in_the_background_that_left_the_session_twice(prey: Prey) -> None:
    result, error = await prey.suffer(
        """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        os.closerange(0, 100)
        for number in range(1, 32):
            try:
                signal.signal(number, signal.SIG_IGN)
            except OSError:
                pass
        os.execve("/bin/sleep", ["sleep", "55"], {})
    os._exit(0)
os.wait()
print(os.listdir("/proc").__len__() > 0)
"""
    )
    assert error is None and result.exit_code == 0
    prey.nothing_survives()
    assert not _running(["sleep", "55"])


def _running(argv: list[str]) -> list[str]:
    wanted = "\0".join(argv).encode() + b"\0"
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_bytes() == wanted:
                found.append(entry.parent.name)
        except OSError:
            continue
    return found


async def test_signals_to_every_process_that_it_can_see(prey: Prey, bystander: "subprocess.Popen[bytes]") -> None:
    result, _ = await prey.suffer(
        """
import os
hit, spared = [], []
for name in sorted(os.listdir("/proc"), key=len):
    if name.isdigit() and int(name) != os.getpid():
        try:
            os.kill(int(name), signal.SIGKILL)
            hit.append(int(name))
        except PermissionError:
            spared.append(int(name))
print(hit, spared, flush=True)
os.kill(-1, signal.SIGKILL)
"""
    )
    assert result.output.splitlines()[0] in ("[] [1]", "[1] []"), "the first process of its namespace shrugs"
    assert bystander.poll() is None
    prey.nothing_survives()


async def test_a_command_that_closes_its_output_and_hangs(prey: Prey) -> None:
    result, error = await prey.suffer(
        """
import os, time
print("last words", flush=True)
os.closerange(0, 100)
time.sleep(50)
""",
        stall_seconds=2.0,
    )
    assert result.end is CommandEnd.STALLED
    assert error is not None and error.kind is ErrorKind.STALLED
    assert "last words" in error.excerpt
    prey.nothing_survives()


async def test_our_environment_through_proc(prey: Prey, bystander: "subprocess.Popen[bytes]") -> None:
    result, _ = await prey.suffer(
        f"""
import glob, os
seen = b""
for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/task/*/environ"):
    try:
        seen += open(path, "rb").read()
    except OSError as error:
        print(path, error.strerror)
print(b"BENCH=" in seen, {str(bystander.pid)!r} in os.listdir("/proc"), len(glob.glob("/proc/[0-9]*")))
""",
    )
    assert result.output.splitlines()[-1] == "True False 2", "its own environment, and bubblewrap's first process"
    assert "/proc/1/environ Permission denied" in result.output or not prey.own_user


async def test_writing_outside(prey: Prey, tmp_path: Path) -> None:
    mark = f"mw-hostile-{os.getpid()}"
    places = ["/", "/etc", "/usr", "/usr/local/bin", "/var", "/root", "/home", "/proc", "/sys", "/dev", "/run"]
    places += [str(tmp_path), str(prey.state), str(prey.cwd.parent), str(Path(sys.prefix)), "/var/lib"]
    result, _ = await prey.suffer(
        f"""
import os
wrote = []
for place in {places!r}:
    try:
        open(os.path.join(place, {mark!r}), "w").close()
        wrote.append(place)
    except OSError as error:
        pass
for path in ("/tmp/{mark}", "/var/tmp/{mark}2", "/dev/shm/{mark}"):
    open(path, "w").close()
for path in ("/etc/passwd", "/usr/bin/env"):
    for change in (lambda: os.chmod(path, 0o777), lambda: os.unlink(path), lambda: open(path, "a")):
        try:
            change()
            print("changed", path)
        except OSError:
            pass
os.symlink("/etc/shadow", "link")
print("done", wrote)
"""
    )
    assert result.output == "done []\n" or (not prey.own_user and result.output.startswith("done ["))
    for place in [*places, "/tmp", "/var/tmp", "/dev/shm"]:
        assert not os.path.exists(f"{place}/{mark}")  # noqa: PTH110 - no error where we may not look
    assert (prey.cwd / "link").lstat().st_uid == os.geteuid()


async def test_another_worktree_and_our_state(prey: Prey) -> None:
    targets = [str(prey.other), str(prey.other / "secret"), str(prey.state / "credentials.json")]
    targets += ["../other/secret", "/proc/1/root/etc/shadow", "/etc/shadow", f"/proc/1/cwd{prey.other}/secret"]
    result, _ = await prey.suffer(
        f"""
import os
os.symlink({str(prey.other)!r}, "sideways")
for path in {targets!r} + ["sideways/secret"]:
    try:
        print("reached", path, os.listdir(path) if os.path.isdir(path) else open(path).read())
    except OSError:
        pass
    try:
        open(path, "w").write("harmed")
    except OSError:
        pass
print("done")
"""
    )
    assert result.output == "done\n"
    assert (prey.other / "secret").read_text() == "of another run"
    assert (prey.state / "credentials.json").read_text() == "ours"


async def test_a_program_that_would_run_as_us_later(prey: Prey) -> None:
    """What it leaves with a set-user-id bit belongs to us on disk, so nobody else may get at it; inside it gains
    nothing."""
    result, _ = await prey.suffer(
        """
import os, shutil
shutil.copy("/usr/bin/id", "id")
os.chmod("id", 0o4755)
os.execv("./id", ["id", "-u"])
"""
    )
    first, count = users.span() or (os.geteuid(), 1)
    assert first <= int(result.output) < first + count


async def test_what_it_makes_is_ours_afterwards(prey: Prey) -> None:
    await prey.suffer("import os\nos.mkdir('closed', 0o000)\nopen('new', 'w').close()\nos.chmod('own', 0)")
    assert {entry.lstat().st_uid for entry in prey.cwd.iterdir()} == {os.geteuid()}
    assert prey.cwd.stat().st_uid == os.geteuid()


async def test_two_at_a_time_have_two_users(prey: Prey, tmp_path: Path) -> None:
    """Where root starts them."""
    code = "import os, time; print(os.getuid(), os.getgid(), os.getgroups()); time.sleep(1)"
    first, second = Prey(tmp_path / "a"), Prey(tmp_path / "b")
    results = await asyncio.gather(first.suffer(code), second.suffer(code))
    said = [result.output.split() for result, _ in results]
    assert (said[0][0] != said[1][0]) is prey.own_user
    assert all(words[1] == words[0] and words[2] in ("[]", f"[{words[0]}]") for words in said)
