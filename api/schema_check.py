"""Whether the database has the schema that this code was written for."""

import asyncio
from functools import cache
from pathlib import Path

from psycopg.errors import InsufficientPrivilege, UndefinedTable

import adapters.store
from adapters.store.database import Database
from api.readiness import Check
from domain.errors import Unavailable

HINT = "Run `python -m adapters.store migrate` (the local stack: `millwright up`) with the code of this version."


def schema_check(database: Database) -> Check:
    """Asks PostgreSQL too: it raises Unavailable when there is no answer."""

    async def check() -> None:
        wanted = await asyncio.to_thread(_wanted)
        try:
            found = await database.one("SELECT version_num FROM alembic_version")
        except (UndefinedTable, InsufficientPrivilege):
            found = None
        if found != wanted:
            raise Unavailable(
                f"The database has the schema {found or 'of no version'}, this code needs {wanted}.", hint=HINT
            )

    return check


@cache
def _wanted() -> str | None:
    """The newest revision. Alembic takes as long to load as half of the API: it waits for the first look."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(Path(adapters.store.__file__).parent / "migrations")).get_current_head()
