"""The supervisor over real processes: order, restart, adoption after its own death, and an end that leaves nothing."""

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.stack.ports import LOOPBACK
from cli.stack.process import read_record, stop
from cli.stack.state import ProcessStatus
from cli.stack.supervisor import PortTaken, Step, Supervisor
from tests.support.small_stack import service, sleeper, status
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a supervisor process over `tmp_path`; everything is ended afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def run(word: str = "") -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.support.small_stack", str(tmp_path), word]
        started.append(subprocess.Popen(command, cwd=ROOT))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()
    for lock in tmp_path.glob("*.lock"):
        if record := read_record(lock):
            stop(record, ((signal.SIGKILL, 5.0),))


def all_ready(folder: Path) -> bool:
    known = status(folder)
    return len(known) == 3 and all(process.state in ("ready", "done") for process in known.values())


def pid_of(folder: Path, name: str) -> int | None:
    record = read_record(folder / f"{name}.lock")
    return record.pid if record else None


def is_up_again(folder: Path, name: str, old: int | None) -> bool:
    return pid_of(folder, name) not in (None, old) and all_ready(folder)


def test_steps_start_in_order_and_a_task_runs_before_what_waits_for_it(tmp_path: Path, start: Start) -> None:
    start()
    wait_until(lambda: all_ready(tmp_path), what="all ready")
    assert (tmp_path / "task.finished").read_text() == "done\n"
    assert (tmp_path / "first.up").stat().st_mtime <= (tmp_path / "task.finished").stat().st_mtime
    assert (tmp_path / "task.finished").stat().st_mtime <= (tmp_path / "second.up").stat().st_mtime


def test_a_killed_process_comes_back_and_the_others_stay(tmp_path: Path, start: Start) -> None:
    start()
    wait_until(lambda: all_ready(tmp_path), what="all ready")
    first, second = pid_of(tmp_path, "first"), pid_of(tmp_path, "second")
    assert first and second
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: is_up_again(tmp_path, "first", first), what="first restarted")
    assert pid_of(tmp_path, "second") == second
    assert status(tmp_path)["first"].restarts == 1


def test_the_next_supervisor_adopts_what_a_killed_one_left(tmp_path: Path, start: Start) -> None:
    supervisor = start()
    wait_until(lambda: all_ready(tmp_path), what="all ready")
    before = pid_of(tmp_path, "first"), pid_of(tmp_path, "second")
    supervisor.kill()
    supervisor.wait()
    assert (pid_of(tmp_path, "first"), pid_of(tmp_path, "second")) == before
    (tmp_path / "status.json").unlink()
    start()
    wait_until(lambda: all_ready(tmp_path), what="all adopted")
    assert (pid_of(tmp_path, "first"), pid_of(tmp_path, "second")) == before

    os.kill(before[0] or 0, signal.SIGKILL)  # an adopted one, no child of this supervisor
    wait_until(lambda: is_up_again(tmp_path, "first", before[0]), what="an adopted process restarted")


def test_a_process_with_addresses_that_are_no_longer_true_is_not_adopted(tmp_path: Path, start: Start) -> None:
    supervisor = start("port 1")
    wait_until(lambda: all_ready(tmp_path), what="all ready")
    before = pid_of(tmp_path, "second")
    supervisor.kill()
    supervisor.wait()
    start("port 2")
    wait_until(lambda: is_up_again(tmp_path, "second", before), what="second started anew")


def test_a_stopped_supervisor_leaves_no_process(tmp_path: Path, start: Start) -> None:
    supervisor = start()
    wait_until(lambda: all_ready(tmp_path), what="all ready")
    supervisor.terminate()
    assert supervisor.wait(30) == 0
    assert pid_of(tmp_path, "first") is None
    assert pid_of(tmp_path, "second") is None
    assert {process.state for process in status(tmp_path).values()} == {"stopped"}


def test_a_child_that_was_only_just_started_is_ended_too(tmp_path: Path, start: Start) -> None:
    supervisor = start()
    wait_until(lambda: status(tmp_path).get("first", ProcessStatus(log="")).pid, what="first forked")
    pid = status(tmp_path)["first"].pid or 0
    supervisor.terminate()
    assert supervisor.wait(30) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_failing_process_is_shown_with_the_end_of_its_log(tmp_path: Path) -> None:
    seen: list[ProcessStatus] = []
    code = "import sys; print('the disk is full'); sys.exit(7)"
    step = Step(service=service(tmp_path, "broken", code), ready=lambda record: False)
    stopping = asyncio.Event()

    def changed(processes: dict[str, ProcessStatus]) -> None:
        seen.append(processes["broken"])
        if processes["broken"].failures == 3:
            stopping.set()

    await asyncio.wait_for(Supervisor([step], changed).run(stopping), 30)
    failed = next(process for process in seen if process.failures == 3)
    assert failed.problem == "exit code 7\nthe disk is full"


async def test_a_disk_that_is_full_ends_nothing(tmp_path: Path) -> None:
    """Neither the picture nor what a task printed can be written: it goes on, and tries the task again."""
    seen: list[ProcessStatus] = []
    told: list[str] = []
    stopping = asyncio.Event()

    def changed(processes: dict[str, ProcessStatus]) -> None:
        seen.append(processes["task"])
        if processes["task"].state == "done":
            stopping.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    def finished(text: str) -> None:
        told.append(text)
        if len(told) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    step = Step(
        service=service(tmp_path, "task", "print('the key')"),
        ready=lambda record: False,
        once=True,
        finished=finished,
    )
    await asyncio.wait_for(Supervisor([step], changed).run(stopping), 30)
    assert told == ["the key\n", "the key\n"]
    assert any("No space left" in (process.problem or "") for process in seen)


async def test_a_port_that_somebody_took_asks_for_a_new_plan(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        step = Step(
            service=service(tmp_path, "server", "raise OSError('address in use')"),
            ready=lambda record: False,
            ports=(other.getsockname()[1],),
        )
        with pytest.raises(ExceptionGroup) as raised:
            await asyncio.wait_for(Supervisor([step], lambda processes: None).run(asyncio.Event()), 30)
    assert raised.group_contains(PortTaken, match="of server")


async def test_two_supervisors_never_run_one_service_twice(tmp_path: Path) -> None:
    def ready(processes: dict[str, ProcessStatus]) -> None:
        states.append(processes["only"].state)

    states: list[str] = []
    stopping = asyncio.Event()
    runs = [
        asyncio.create_task(Supervisor([sleeper(tmp_path, "only")], ready).run(stopping)),
        asyncio.create_task(Supervisor([sleeper(tmp_path, "only")], ready).run(stopping)),
    ]
    while states.count("ready") < 2:  # noqa: ASYNC110 - two supervisors, one condition
        await asyncio.sleep(0.02)
    running = await asyncio.create_subprocess_exec("pgrep", "-fc", str(tmp_path / "only.up"), stdout=-1)
    count, _ = await running.communicate()
    stopping.set()
    await asyncio.wait_for(asyncio.gather(*runs), 30)
    assert count.strip() == b"1"
