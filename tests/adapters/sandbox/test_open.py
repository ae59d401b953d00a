"""A command that is talked to while it runs: its pipes, and that it ends like every other."""

import asyncio
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from domain.errors import PhaseFailure
from domain.runs.failure import ErrorKind
from domain.sandbox.ports import Command, CommandEnd, OpenProcess, shell
from tests.adapters.sandbox.conftest import Bench


def _open(
    bench: Bench, what: str, *, should_stop: Callable[[], str | None] | None = None, **given: Any
) -> AbstractAsyncContextManager[OpenProcess]:
    name, _, value = bench.token.partition("=")
    fields: dict[str, Any] = {"time_limit_seconds": 120.0, "stall_seconds": math.inf, "cwd": bench.cwd} | given
    return bench.sandbox.open(Command(argv=shell(what), env={name: value}, **fields), should_stop=should_stop)


async def _read_all(process: OpenProcess) -> bytes:
    got = b""
    while part := await process.read():
        got += part
    return got


async def test_it_is_talked_to_and_answers(bench: Bench) -> None:
    async with _open(bench, "while read line; do echo got $line; done") as process:
        await process.write(b"one\n")
        assert await process.read() == b"got one\n"
        await process.write(b"two\n")
        assert await process.read() == b"got two\n"
        process.close_input()
        process.close_input()
        assert (await process.ended()).exit_code == 0
        assert await process.read() == b""
        with pytest.raises(OSError, match="closed"):
            await process.write(b"three\n")
    assert bench.living() == []


async def test_standard_error_is_apart_and_told(bench: Bench) -> None:
    async with _open(bench, "echo answer; echo complaint >&2") as process:
        assert await _read_all(process) == b"answer\n"
        result = await process.ended()
        assert (result.end, result.exit_code, result.output) == (CommandEnd.EXITED, 0, "complaint\n")
        assert process.last_words == "complaint"


async def test_leaving_ends_the_tree(bench: Bench) -> None:
    script = "trap '' TERM; setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo ready; while :; do sleep 1000; done"
    async with _open(bench, script) as process:
        assert await process.read() == b"ready\n"
        assert bench.living()
    assert bench.living() == []
    assert (await process.ended()).end is CommandEnd.KILLED


async def test_an_error_of_its_user_ends_the_tree_too(bench: Bench) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with _open(bench, "echo ready; sleep 1000") as process:
            await process.read()
            raise ValueError("mine")
    assert bench.living() == []


async def test_a_cancelled_user_leaves_nothing(bench: Bench) -> None:
    ready = asyncio.Event()

    async def use() -> None:
        async with _open(bench, "echo ready; sleep 1000") as process:
            await process.read()
            ready.set()
            await process.read()

    using = asyncio.create_task(use())
    await ready.wait()
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert bench.living() == []


async def test_a_reason_to_stop_ends_it_while_it_is_open(bench: Bench) -> None:
    async with _open(bench, "sleep 1000", should_stop=lambda: "cancelled") as process:
        assert (await process.ended()).end is CommandEnd.KILLED
        assert await process.read() == b""


async def test_time_limit_and_stall_hold(bench: Bench) -> None:
    async with _open(bench, "sleep 1000", time_limit_seconds=0.5) as process:
        assert (await process.ended()).end is CommandEnd.TIME_LIMIT
    async with _open(bench, "echo one; sleep 1000", stall_seconds=1.0) as process:
        assert (await process.ended()).end is CommandEnd.STALLED


async def test_what_is_not_read_holds_the_command_up_and_not_our_memory(bench: Bench) -> None:
    script = "head -c 50000000 /dev/zero; echo all >&2"
    async with _open(bench, script) as process:
        await asyncio.sleep(0.5)
        assert process.last_words == ""
        got = 0
        while part := await process.read():
            assert len(part) <= 65_536
            got += len(part)
        assert got == 50_000_000
        assert (await process.ended()).output == "all\n"


async def test_a_writer_hears_that_nobody_reads(plain: Bench) -> None:
    """Under bubblewrap its own process still holds the pipe: there the writer waits, as for one that never reads."""
    async with _open(plain, "exec 0<&-; echo ready; sleep 1000") as process:
        assert await process.read() == b"ready\n"
        with pytest.raises(OSError):
            for _ in range(100):
                await process.write(b"x" * 65_536)


async def test_what_cannot_be_started_is_refused_on_entering(bench: Bench) -> None:
    command = Command(argv=("no-such-program",), cwd=bench.cwd, time_limit_seconds=5, stall_seconds=5)
    with pytest.raises(PhaseFailure) as caught:
        async with bench.sandbox.open(command):
            pytest.fail("it was entered")
    assert caught.value.error.kind is ErrorKind.SANDBOX
    assert "no-such-program" in caught.value.error.message


async def test_no_descriptor_but_its_three(plain: Bench) -> None:
    async with _open(plain, "ls /proc/self/fd") as process:
        assert (await _read_all(process)).split() == [b"0", b"1", b"2", b"3"]  # 3 is the listing itself


def test_under_the_workers_loop(plain: Bench, tmp_path: Path) -> None:
    async def talk() -> bytes:
        async with _open(plain, "read line; echo got $line; exec cat") as process:
            await process.write(b"one\n")
            answer = await process.read()
            process.close_input()
            assert (await process.ended()).exit_code == 0
            return answer

    assert uvloop.run(talk()) == b"got one\n"
    assert plain.living() == []
