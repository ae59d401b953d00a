"""The worker's own event loop raises where asyncio's is silent: a write to a guard that has already gone."""

import os

import uvloop

from domain.sandbox.ports import CommandEnd
from tests.adapters.sandbox.conftest import Bench


def test_a_short_command_ends_well_under_the_workers_loop(plain: Bench) -> None:
    async def three() -> list[CommandEnd]:
        return [(await plain.run("echo hello")).end for _ in range(3)]

    assert uvloop.run(three()) == [CommandEnd.EXITED] * 3
    assert plain.heard.count("hello") == 3


def test_no_descriptor_reaches_the_command_under_the_workers_loop(plain: Bench) -> None:
    """uvloop leaves its children the sockets that it made for them: a command could forge its own end by them."""
    with open("/dev/null") as left_open:  # noqa: PTH123
        os.set_inheritable(left_open.fileno(), True)
        listing = plain.python("import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))")
        result = uvloop.run(plain.run(listing))
    assert result.output.strip() == "[0, 1, 2, 3]"  # 3 is the listing itself
