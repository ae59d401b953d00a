"""No process of a command outlives it, whatever the command does and whoever is killed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from adapters.sandbox import proctree
from domain.errors import PhaseFailure
from domain.runs.failure import ErrorKind
from domain.sandbox.ports import CommandEnd
from tests.adapters.sandbox.conftest import SEARCH_PATH, Bench

DOUBLE_FORK = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid() if len(sys.argv) > 1 else None
        time.sleep(1000)
    os._exit(0)
os.wait()
"""

ESCAPES = {
    "background": "sleep 1000 & echo ready",
    "grandchild": "sh -c 'sh -c \"sleep 1000 & sleep 1000\" &' ; echo ready",
    "setsid": "setsid sleep 1000 & sleep 0.2; echo ready",
    "nohup": "nohup sleep 1000 >/dev/null 2>&1 & echo ready",
    "ignores TERM": "(trap '' TERM HUP INT; sleep 1000 & wait; sleep 1000) & sleep 0.2; echo ready",
    "stopped": "sleep 1000 & kill -STOP $!; echo ready",
    "double fork": f"python -c '{DOUBLE_FORK}'; echo ready",
    "holds no pipe": "setsid sleep 1000 </dev/null >/dev/null 2>&1 & sleep 0.2; echo ready",
}


@pytest.mark.parametrize("escape", ESCAPES, ids=str)
async def test_what_a_command_leaves_behind_is_ended_with_it(bench: Bench, escape: str) -> None:
    result = await bench.run(ESCAPES[escape])
    assert (result.end, result.exit_code) == (CommandEnd.EXITED, 0)
    assert bench.living() == []


@pytest.mark.parametrize("escape", ESCAPES, ids=str)
async def test_a_stop_ends_the_whole_tree_within_three_seconds(bench: Bench, escape: str) -> None:
    running = asyncio.create_task(bench.run(ESCAPES[escape] + "; sleep 1000"))
    await bench.until(lambda: "ready" in bench.heard)
    assert bench.living()
    bench.stop_reason = "cancelled"
    asked = time.monotonic()
    result = await running
    assert result.end is CommandEnd.KILLED
    assert time.monotonic() - asked < 3.0  # the promise: row 10 of the speed table
    assert bench.living() == []


async def test_a_tree_gets_a_moment_to_tidy_up(bench: Bench) -> None:
    running = asyncio.create_task(bench.run("trap 'echo tidied > mark; exit 3' TERM; echo ready; sleep 1000 & wait"))
    await bench.until(lambda: "ready" in bench.heard)
    bench.stop_reason = "cancelled"
    result = await running
    assert (bench.cwd / "mark").read_text() == "tidied\n"
    assert result.exit_code == 3


async def test_what_left_the_tree_gets_a_moment_too(plain: Bench) -> None:
    """Only a guard that is its new parent knows of it while there is time."""
    script = "trap 'echo tidied > mark; exit' TERM; sleep 1000 & wait"
    result = await plain.run(f'setsid setsid sh -c "{script}" & sleep 0.3')
    assert result.exit_code == 0
    assert (plain.cwd / "mark").read_text() == "tidied\n"


async def test_a_chain_that_forks_faster_than_it_is_looked_at_ends(bench: Bench) -> None:
    """Each link lives for some milliseconds, in a session of its own, and leaves a child behind."""
    code = "import os,time\nwhile True:\n if os.fork(): os._exit(0)\n os.setsid(); time.sleep(0.002)"
    running = asyncio.create_task(bench.run(f"python -c '{code}' & echo ready; sleep 1000"))
    await bench.until(lambda: "ready" in bench.heard)
    bench.stop_reason = "cancelled"
    assert (await running).end is CommandEnd.KILLED
    assert bench.living() == []


async def test_a_cancelled_task_ends_the_tree_before_it_goes(bench: Bench) -> None:
    running = asyncio.create_task(bench.run("trap '' TERM; setsid sleep 1000 & echo ready; sleep 1000"))
    await bench.until(lambda: "ready" in bench.heard)
    running.cancel()
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bench.living() == []


async def test_output_that_cannot_be_stored_ends_the_tree(bench: Bench) -> None:
    async def no_database(text: str) -> None:
        raise ConnectionError("the database is gone")

    with pytest.raises(ConnectionError, match="gone"):
        await bench.run("echo something; sleep 1000", on_output=no_database)
    assert bench.living() == []


def _guards_above(bench: Bench) -> tuple[int, int]:
    """Guard and watcher of the bench's only command."""
    everyone = proctree.everyone()
    tops = [pid for pid in bench.living() if everyone[pid].parent not in bench.living()]
    guard = next(everyone[pid].parent for pid in tops if everyone[pid].parent != 1)
    return guard, everyone[guard].parent


def _environment(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(word.split("=", 1) for word in words if word)


@pytest.mark.parametrize("victim", ["guard", "watcher", "both"])
async def test_a_killed_guard_takes_the_tree_with_it(bench: Bench, victim: str) -> None:
    running = asyncio.create_task(bench.run(f"setsid sleep 1000 & python -c '{DOUBLE_FORK}'; echo ready; sleep 1000"))
    await bench.until(lambda: "ready" in bench.heard)
    guard, watcher = _guards_above(bench)
    for pid in {"guard": [guard], "watcher": [watcher], "both": [watcher, guard]}[victim]:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(PhaseFailure) as caught:
        await running
    assert caught.value.error.kind is ErrorKind.SANDBOX
    assert caught.value.error.hint
    assert bench.living() == []


async def test_a_killed_guard_takes_with_it_what_carries_no_mark(bench: Bench) -> None:
    """Out of the session, with an environment of its own: only the watcher, its new parent, can find it."""
    seconds = f"1000.{uuid4().int % 10**9}"
    running = asyncio.create_task(bench.run(f"(setsid env -i sleep {seconds} &) ; sleep 0.2; echo ready; sleep 1000"))
    await bench.until(lambda: "ready" in bench.heard)
    assert _with_argument(seconds)
    os.kill(_guards_above(bench)[0], signal.SIGKILL)
    with pytest.raises(PhaseFailure):
        await running
    assert _with_argument(seconds) == []


def _with_argument(text: str) -> list[int]:
    found = []
    for pid in proctree.everyone():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if text.encode() in words:
            found.append(pid)
    return found


WORKER = """
import asyncio, sys
from pathlib import Path
from adapters.sandbox.guarded import GuardedSandbox
from domain.sandbox.ports import Command, shell
from tests.adapters.sandbox.conftest import PlainRedactor

async def note(text):
    sys.stdout.write(text)
    sys.stdout.flush()

async def main():
    path, mode, token, lock, script, cwd, silence = sys.argv[1:]
    sandbox = GuardedSandbox(PlainRedactor(), search_path=path, bubblewrap_mode=mode, silence_seconds=float(silence))
    command = Command(argv=shell(script), cwd=Path(cwd), env=dict([token.split("=")]), lock=Path(lock),
                      time_limit_seconds=1000, stall_seconds=1000)
    await sandbox.run(command, on_output=note, should_stop=lambda: None)

asyncio.run(main())
"""


@pytest.fixture
def worker_process(bench: Bench, tmp_path: Path) -> "subprocess.Popen[str]":
    """A worker of its own, whose command says `ready` and stays."""
    return _start_worker(bench, tmp_path, silence_seconds=50)


def _start_worker(bench: Bench, tmp_path: Path, silence_seconds: float) -> "subprocess.Popen[str]":
    script = f"setsid sleep 1000 & python -c '{DOUBLE_FORK}'; trap '' TERM; echo ready; sleep 1000; sleep 1000"
    mode = bench.sandbox._mode
    arguments = [SEARCH_PATH, mode, bench.token, str(tmp_path / "lock"), script, str(bench.cwd), str(silence_seconds)]
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert len(bench.living()) >= 3
    return process


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


async def test_a_killed_worker_takes_the_tree_with_it(bench: Bench, worker_process: "subprocess.Popen[str]") -> None:
    _end(worker_process)
    await bench.until(lambda: bench.living() == [])


async def test_a_stopped_worker_loses_the_tree_before_its_lease_passes_on(bench: Bench, tmp_path: Path) -> None:
    process = _start_worker(bench, tmp_path, silence_seconds=2)
    await asyncio.sleep(3)
    assert bench.living(), "a worker that lives gives signs of life"
    os.kill(process.pid, signal.SIGSTOP)
    try:
        await bench.until(lambda: bench.living() == [])
    finally:
        _end(process)


async def test_a_command_ends_what_still_edits_its_worktree(
    bench: Bench, worker_process: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    """A stopped worker notices nothing; its guard still holds the worktree. The later execution is in the right."""
    earlier = bench.token
    os.kill(worker_process.pid, signal.SIGSTOP)
    try:
        bench.token = "BENCH=later"
        result = await bench.run("echo mine", lock=tmp_path / "lock")
        assert result.output == "mine\n"
        assert proctree.marked(earlier) == []
    finally:
        _end(worker_process)


async def test_a_command_ends_what_two_killed_guards_left(
    bench: Bench, worker_process: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    """Worker, watcher and guard killed at one stroke: nobody is left to notice but the next execution."""
    guard, watcher = _guards_above(bench)
    [home] = {_environment(pid)["HOME"] for pid in bench.living()}
    for pid in (worker_process.pid, watcher, guard):
        os.kill(pid, signal.SIGKILL)
    _end(worker_process)
    earlier, bench.token = bench.token, "BENCH=later"
    assert Path(home).exists()
    assert (await bench.run("echo mine", lock=tmp_path / "lock")).output == "mine\n"
    assert proctree.marked(earlier) == []
    assert not Path(home).parent.exists()


async def test_a_command_waits_for_one_that_is_about_to_end(bench: Bench, tmp_path: Path) -> None:
    first = asyncio.create_task(bench.run("echo ready; sleep 1; echo first", lock=tmp_path / "lock"))
    await bench.until(lambda: "ready" in bench.heard)
    second = await bench.run("echo second", lock=tmp_path / "lock")
    assert (await first).exit_code == second.exit_code == 0
    assert bench.heard == "ready\nfirst\nsecond\n"


async def test_a_stop_is_heard_while_it_waits_for_the_worktree(plain: Bench, tmp_path: Path) -> None:
    first = asyncio.create_task(plain.run("echo ready; sleep 1000", lock=tmp_path / "lock"))
    await plain.until(lambda: "ready" in plain.heard)
    second = asyncio.create_task(plain.run("echo second", lock=tmp_path / "lock"))
    await asyncio.sleep(0.3)
    plain.stop_reason = "cancelled"
    results = await asyncio.gather(first, second)
    assert [result.end for result in results] == [CommandEnd.KILLED, CommandEnd.KILLED]
    assert "second" not in plain.heard
