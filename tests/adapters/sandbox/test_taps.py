"""What a reader of an event stream needs beside the output that people see: every byte, and no false stall."""

import asyncio

from domain.sandbox.ports import Command, CommandEnd, shell
from tests.adapters.sandbox.conftest import Bench


async def test_a_tap_gets_every_byte_also_where_people_see_head_and_tail_only(bench: Bench) -> None:
    got = bytearray()
    command = Command(
        argv=shell("head -c 3000000 /dev/zero | tr '\\0' x; printf '\\377end'"),
        cwd=bench.cwd,
        time_limit_seconds=60,
        stall_seconds=60,
        head_bytes=1000,
        tail_bytes=1000,
    )
    result = await bench.sandbox.run(command, on_output=bench.note, should_stop=lambda: None, on_data=got.extend)
    assert result.left_out_bytes > 2_900_000
    assert bytes(got) == b"x" * 3_000_000 + b"\xffend"


async def test_silence_while_something_outside_works_for_the_command_is_no_stall(bench: Bench) -> None:
    working = True

    async def work() -> None:
        nonlocal working
        await asyncio.sleep(3.0)
        working = False

    command = Command(argv=shell("sleep 1000"), cwd=bench.cwd, time_limit_seconds=60, stall_seconds=1.0)
    task = asyncio.create_task(work())
    result = await bench.sandbox.run(
        command, on_output=bench.note, should_stop=lambda: None, in_progress=lambda: working
    )
    await task
    assert result.end is CommandEnd.STALLED
    assert result.run_seconds > 3.5
