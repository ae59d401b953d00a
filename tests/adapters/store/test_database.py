"""A server that dies, stays away and comes back: callers wait, are told, and go on."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from adapters.store.database import open_database
from cli.stack.ports import any_free
from cli.stack.postgres import Postgres
from cli.stack.process import read_record
from domain.errors import Unavailable
from tests.support.scratch import scratch_folder


@pytest.fixture(scope="module")
def own_server() -> Iterator[Postgres]:
    with (
        scratch_folder("mortal") as folder,
        Postgres(folder / "postgres", any_free(), fast=True, data_root=folder).running() as server,
    ):
        yield server


def _kill(server: Postgres) -> None:
    record = read_record(server.lock)
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)


async def test_a_process_that_stands_still_inside_a_transaction_loses_its_locks(own_server: Postgres) -> None:
    async with open_database(own_server.admin_url("postgres")) as database:
        assert await database.one("SHOW idle_in_transaction_session_timeout") == "30s"


async def test_a_full_disk_is_no_server_that_is_away(own_server: Postgres) -> None:
    async with open_database(own_server.admin_url("postgres")) as database:
        async with database.system() as connection:
            await connection.execute(
                "CREATE FUNCTION extend() RETURNS int LANGUAGE plpgsql AS $$ BEGIN"
                " RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"
            )
        with pytest.raises(Unavailable, match="no room on its disk: could not extend file") as full:
            await database.one("SELECT extend()")
        assert "Free some" in full.value.hint


async def test_callers_wait_for_a_server_that_comes_back(own_server: Postgres) -> None:
    async with open_database(own_server.admin_url("postgres"), max_connections=4) as database:
        await asyncio.gather(*(database.one("SELECT pg_sleep(0.05)") for _ in range(4)))
        _kill(own_server)
        calls = [asyncio.create_task(database.one("SELECT %s::int", number)) for number in range(8)]
        await asyncio.sleep(1.2)
        await asyncio.to_thread(own_server.start, tethered=True)
        assert await asyncio.gather(*calls) == list(range(8))
        async with database.system() as connection:
            await connection.execute("SELECT 1")


async def test_a_server_that_stays_away_is_told_and_later_found_again(own_server: Postgres) -> None:
    async with open_database(own_server.admin_url("postgres"), max_connections=2) as database:
        await database.one("SELECT 1")
        _kill(own_server)
        with pytest.raises(Unavailable) as away:
            for _ in range(100):  # a backend may outlive the killed server by an instant
                await database.one("SELECT 1")
                await asyncio.sleep(0.05)
        assert away.value.hint
        with pytest.raises(Unavailable):
            async with database.system():
                pass
        await asyncio.to_thread(own_server.start, tethered=True)
        assert await database.one("SELECT 1") == 1
