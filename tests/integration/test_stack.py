"""The whole local stack by the commands that people use: up, kill -9 of anything, down; as whoever, from wherever."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack.ports import accepts, any_free
from cli.stack.process import start_token
from cli.stack.state import StackStatus
from tests.support.other_user import USER, clone_for_other_user
from tests.support.scratch import scratch_folder
from tests.support.stack import Stack, stack
from tests.support.temporal_program import temporal_program
from tests.support.waiting import wait_until

SERVICES = ("postgres", "temporal", "worker", "api")
RESTART_SECONDS = 60


def some_ports() -> dict[str, int]:
    return {name: any_free() for name in ("api", "temporal", "temporal_ui", "postgres")}


def as_seen(status: StackStatus) -> dict[str, str]:
    return {name: process.state for name, process in status.processes.items()}


def kill(made: Stack, name: str) -> int:
    pid = made.pid(name)
    assert pid, f"{name} is not running"
    os.kill(pid, signal.SIGKILL)
    return pid


def is_back(made: Stack, name: str, old: int) -> bool:
    return made.pid(name) not in (None, old) and made.is_ready() and made.serves()


def check_restart(made: Stack, name: str) -> None:
    old = kill(made, name)
    wait_until(lambda: is_back(made, name, old), RESTART_SECONDS, what=f"{name} back")


def check_start(made: Stack) -> StackStatus:
    """Up, and up again: all is ready, private to its owner, and the second time nothing is done."""
    first = made.up()
    assert as_seen(first) == dict.fromkeys(SERVICES, "ready") | {"migrate": "done"}
    assert made.serves()
    with urllib.request.urlopen(f"{first.api_url}/ui", timeout=10) as page:
        assert page.status == 200
    assert stat.S_IMODE(made.folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(made.folder.credentials_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.folder.temporal_database.stat().st_mode) == 0o600
    before = made.pids()
    again = made.millwright("up")
    assert "already running" in again.stdout
    assert first.api_url in again.stdout
    assert made.pids() == before
    return first


def check_adoption(made: Stack, first: StackStatus) -> None:
    """The supervisor's death stops nothing, and the next `up` adopts what runs."""
    before = made.pids()
    kill(made, "supervisor")
    assert made.serves()
    assert made.pids() == before
    adopted = made.up()
    assert made.pids() == before, "adopted, not started again"
    assert adopted.ports == first.ports


def check_end(made: Stack) -> None:
    """Down without a supervisor, up again from what is stored, down: no process is left."""
    kill(made, "supervisor")
    pids = [pid for pid in made.pids().values() if pid]
    assert set(made.down()) == set(SERVICES)
    assert made.left_over() == []
    assert not any(map(start_token, pids))

    began = time.monotonic()
    second = made.up()
    assert time.monotonic() - began < 40, "10 s on an idle machine; this one runs tests beside it"
    assert second.ready
    assert set(made.down()) == {"supervisor", *SERVICES}
    assert made.left_over() == []


@pytest.fixture
def place() -> Iterator[Path]:
    with scratch_folder("stack") as folder:
        yield folder


def test_life_of_a_stack_in_a_folder_with_spaces_below_a_closed_home(place: Path) -> None:
    home = place / "home of somebody"
    home.mkdir(mode=0o700)
    with stack(home / "state of it", home, ports=some_ports()) as made:
        first = check_start(made)
        for name in SERVICES:
            check_restart(made, name)
        check_adoption(made, first)
        report = made.millwright("doctor")
        assert report.returncode == 0, report.stdout
        check_end(made)


def test_life_of_a_stack_of_an_ordinary_user(place: Path) -> None:
    """Also when the tests run as root: then with a clone of its own in the closed home of another user."""
    home = place / "home of another"
    home.mkdir(mode=0o700)
    if os.geteuid() != 0:
        with stack(home / ".state", home, ports=some_ports()) as made:
            check_adoption(made, check_start(made))
        return
    python = clone_for_other_user(home)
    program = shutil.copy(temporal_program(), place / "temporal")
    with stack(home / ".state", home, python=python, user=USER, temporal=program, ports=some_ports()) as made:
        check_adoption(made, check_start(made))
        check_end(made)
        assert made.folder.path.stat().st_uid == pwd.getpwnam(USER).pw_uid


def test_two_stacks_started_at_once_step_around_each_other(place: Path) -> None:
    same = some_ports()
    with stack(place / "one", place, ports=same) as one, stack(place / "two", place, ports=same) as two:
        threads = [threading.Thread(target=it.up) for it in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: one.serves() and two.serves(), what="both serve")
        ports = {*one.up().ports.values(), *two.up().ports.values()}
        assert len(ports) == 8, "no port is shared"
        assert one.down()
        assert two.serves(), "the end of one is not the end of the other"


def test_a_port_taken_while_the_stack_was_down_is_stepped_around(place: Path) -> None:
    with stack(place / "state", place, ports=some_ports()) as made:
        first = made.up()
        made.down()
        command = ["python3", "-m", "http.server", "--bind", "127.0.0.1", str(first.ports["api"])]
        with subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
            wait_until(lambda: accepts(first.ports["api"]), what="the other program listens")
            done = made.millwright("up")
            other.kill()
        assert done.returncode == 0, done.stdout
        assert f"port {first.ports['api']} is taken by another program" in done.stdout
        assert made.serves()


def test_in_the_foreground_a_signal_ends_everything(place: Path) -> None:
    """As under systemd: the command itself becomes the supervisor."""
    with stack(place / "state", place, ports=some_ports()) as made:
        with made.start("up", "--foreground") as foreground:
            wait_until(lambda: made.is_ready() and made.serves(), RESTART_SECONDS, what="ready")
            assert made.pid("supervisor") == foreground.pid
            foreground.terminate()
            assert foreground.wait(RESTART_SECONDS) == 0
        assert made.left_over() == []
