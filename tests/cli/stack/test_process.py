"""A process is known by pid and start time; ending one ends what it left in its session."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from cli.stack.process import Record, launch, read_record, start_token, stop
from tests.support.small_stack import service
from tests.support.waiting import wait_until

SLEEP = "import time; time.sleep(600)"
WITH_CHILD = f"""
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-I", "-c", {SLEEP!r}])
pathlib.Path("child").write_text(str(child.pid))
time.sleep(600)
"""
KILL = ((signal.SIGKILL, 5.0),)


def started(folder: Path, code: str) -> Record:
    lock = folder / "it.lock"
    launch(service(folder, "it", code, word="addresses"))
    wait_until(lambda: read_record(lock), what="the record")
    record = read_record(lock)
    assert record
    return record


def test_the_record_names_the_process_that_the_launcher_became(tmp_path: Path) -> None:
    record = started(tmp_path, SLEEP)
    assert record.started == start_token(record.pid)
    assert record.fingerprint == "addresses"
    assert os.getsid(record.pid) == record.pid
    stop(record, KILL)
    assert not record.alive
    assert read_record(tmp_path / "it.lock") is None


def test_a_child_that_somebody_else_killed_is_reaped_with_the_next(tmp_path: Path) -> None:
    first = started(tmp_path, SLEEP)
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: not first.alive, what="its end")
    stop(started(tmp_path, SLEEP), KILL)
    assert not psutil.pid_exists(first.pid), "a zombie stays for as long as nobody asked for its end"


def test_a_pid_that_was_given_to_somebody_else_is_not_ours(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-I", "-c", SLEEP]) as stranger:
        ours_before = Record(pid=stranger.pid, started="another boot:1", fingerprint="", log_offset=0)
        assert not ours_before.alive
        stop(ours_before, KILL)
        assert stranger.poll() is None
        stranger.kill()


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-I", "-c", ""]) as child:
        wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, what="a zombie")
        assert start_token(child.pid) is None


def test_a_second_launch_does_not_start_while_the_first_lives(tmp_path: Path) -> None:
    record = started(tmp_path, SLEEP)
    second = launch(service(tmp_path, "it", SLEEP))
    assert second.wait(30) == 75
    assert read_record(tmp_path / "it.lock") == record
    stop(record, KILL)


def test_what_a_dead_service_left_in_its_session_is_ended_too(tmp_path: Path) -> None:
    record = started(tmp_path, WITH_CHILD)
    wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text(), what="the grandchild")
    child = int((tmp_path / "child").read_text())
    assert start_token(child)
    stop(record, KILL)
    wait_until(lambda: start_token(child) is None, what="the grandchild gone")


def test_one_that_ignores_the_first_signal_gets_the_next(tmp_path: Path) -> None:
    code = "import signal, pathlib, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); pathlib.Path('deaf').touch(); "
    record = started(tmp_path, code + "time.sleep(600)")
    wait_until(lambda: (tmp_path / "deaf").exists(), what="the handler")
    stop(record, ((signal.SIGTERM, 0.3), (signal.SIGKILL, 5.0)))
    assert not record.alive


def test_a_tethered_process_dies_with_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from cli.stack.process import launch;"
        "from tests.support.small_stack import service;"
        f"launch(service(Path(sys.argv[1]), 'it', {SLEEP!r}), tethered=True); time.sleep(600)"
    )
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=root) as parent:
        wait_until(lambda: read_record(tmp_path / "it.lock"), what="the record")
        record = read_record(tmp_path / "it.lock")
        assert record
        wait_until(lambda: "-c" in psutil.Process(record.pid).cmdline(), what="the service itself")
        parent.kill()
    wait_until(lambda: not record.alive, what="the tethered process gone")


def test_a_file_that_is_no_record_is_none(tmp_path: Path) -> None:
    """A lock file of another version, or half a file, is no record rather than a crash."""
    (tmp_path / "it.lock").write_text('{"pid": 1, "else": 2}')
    assert read_record(tmp_path / "it.lock") is None
    (tmp_path / "it.lock").write_text('{"pid": ')
    assert read_record(tmp_path / "it.lock") is None
