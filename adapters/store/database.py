"""Connections to the record, as the role under row-level security.

Two ways in. `one` and `row` run a single statement on an autocommit connection: the functions of the protocol, which
set the organization themselves. `organization` opens a transaction for one organization, for everything else.
"""

import asyncio
import select
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg.errors import DiskFull
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.errors import Unavailable

Connection = AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]

CONNECT_SECONDS = 5.0
"""How long a caller waits for a connection before it is told that the database is away."""
RECONNECT_SECONDS = 0.5
RETRY_SECONDS = (0.0, 0.05, 0.2)
"""Between tries of one statement whose connection was dead."""
AWAY = (OperationalError, InterfaceError, PoolTimeout)


class LivePool(Pool):
    """Hands out no connection that the server has closed, and tries to connect again each half second for as long as
    somebody waits. (The pool's own `check` and backoff wait longer and longer between tries.)"""

    async def getconn(self, timeout: float | None = None) -> Connection:
        deadline = monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            left = deadline - monotonic()
            try:
                connection = await super().getconn(min(max(left, 0.0), RECONNECT_SECONDS * 1.2))
            except PoolTimeout:
                if left <= RECONNECT_SECONDS * 1.2:
                    raise
                continue
            if connection.closed or not _closed_by_server(connection):
                return connection
            await connection.close()
            await self.putconn(connection)


class Database:
    """`pool` gives autocommit connections."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def one(self, statement: LiteralString, *arguments: object) -> Any:
        """First column of the first row; None when there is none. See `row`."""
        row = await self.row(statement, lambda: arguments)
        return row[0] if row else None

    async def row(self, statement: LiteralString, arguments: Callable[[], Sequence[object]]) -> TupleRow | None:
        """First row. Tried again when the connection was dead (after a restart of the server several may be), so the
        statement must bear being repeated. `arguments` is asked when it is about to be sent. Raises Unavailable."""
        for delay in RETRY_SECONDS:
            try:
                return await self._row(statement, arguments)
            except PoolTimeout as error:
                raise away(error) from error
            except AWAY:
                await asyncio.sleep(delay)
        try:
            return await self._row(statement, arguments)
        except AWAY as error:
            raise away(error) from error

    async def _row(self, statement: LiteralString, arguments: Callable[[], Sequence[object]]) -> TupleRow | None:
        connection = await self.pool.getconn()
        try:
            return await (await connection.execute(statement, arguments(), prepare=True)).fetchone()
        finally:
            await self.pool.putconn(connection)

    @asynccontextmanager
    async def organization(self, org_id: UUID) -> AsyncIterator[Connection]:
        """A transaction that sees and writes this organization alone. Raises Unavailable."""
        async with self.system() as connection:
            await connection.execute("SELECT set_config('app.org_id', %s, true)", (str(org_id),))
            yield connection

    @asynccontextmanager
    async def system(self) -> AsyncIterator[Connection]:
        """A transaction on the system tables; tenant tables are empty for it. Raises Unavailable."""
        try:
            async with self.pool.connection() as connection, connection.transaction():
                yield connection
        except AWAY as error:
            raise away(error) from error


@asynccontextmanager
async def open_database(
    url: str, *, max_connections: int = 10, name: str = "millwright", generic_plans: bool = False
) -> AsyncIterator[Database]:
    """Opens the pool without waiting: a database that is away is told by the first call (Unavailable).
    `generic_plans` is for a process that mostly calls the functions of the protocol: their statements find rows by
    key, so that planning each anew for its values only costs time (a tenth of theirs)."""
    pool = LivePool(
        url,
        connection_class=AsyncConnection[TupleRow],
        min_size=1,
        max_size=max_connections,
        kwargs={
            "autocommit": True,
            "application_name": name,
            "options": "-c plan_cache_mode=force_generic_plan" if generic_plans else None,
        },
        timeout=CONNECT_SECONDS,
        reconnect_timeout=RECONNECT_SECONDS,
        configure=_configured,
        open=False,
    )
    await pool.open(wait=False)
    try:
        yield Database(pool)
    finally:
        await pool.close()


async def _configured(connection: Connection) -> None:
    """A process that was stopped inside a transaction keeps its locks no longer than this."""
    await connection.execute("SET idle_in_transaction_session_timeout = '30s'")


def away(error: Exception) -> Unavailable:
    if isinstance(error, DiskFull):
        told = str(error).partition("\n")[0]
        return Unavailable(f"PostgreSQL has no room on its disk: {told}", hint="Free some there; it is tried again.")
    return Unavailable(
        f"PostgreSQL did not answer: {error}", hint="It is tried again; `millwright doctor` says whether it runs."
    )


def _closed_by_server(connection: Connection) -> bool:
    """An idle connection with something to read was closed by the server. No round trip."""
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    return bool(poller.poll(0))
