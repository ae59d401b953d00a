"""The worker's own event loop raises where asyncio's is silent: a write to a guard that has already gone."""

import uvloop

from domain.sandbox.ports import CommandEnd
from tests.adapters.sandbox.conftest import Bench


def test_a_short_command_ends_well_under_the_workers_loop(plain: Bench) -> None:
    async def three() -> list[CommandEnd]:
        return [(await plain.run("echo hello")).end for _ in range(3)]

    assert uvloop.run(three()) == [CommandEnd.EXITED] * 3
    assert plain.heard.count("hello") == 3
