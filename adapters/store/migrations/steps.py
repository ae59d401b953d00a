"""What revisions are made of: SQL files frozen beside them, and the refusal to lose rows on the way down."""

from collections.abc import Sequence
from pathlib import Path

from alembic import op
from sqlalchemy import text

from domain.errors import Conflict

SQL_FOLDER = Path(__file__).parent / "sql"


def run_sql(name: str) -> None:
    """Runs `sql/<name>` as it stands. A file belongs to one revision and is never changed afterwards."""
    op.get_bind().exec_driver_sql((SQL_FOLDER / name).read_text().replace("%", "%%"))


def refuse_when_rows(tables: Sequence[str]) -> None:
    """Raises Conflict that names every table whose rows the step down would lose."""
    connection = op.get_bind()
    counts: dict[str, int] = {}
    for table in tables:
        connection.execute(text(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"))
        counts[table] = int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
    lost = ", ".join(f"{table} ({count})" for table, count in counts.items() if count)
    if lost:
        raise Conflict(
            f"The step down would lose rows of: {lost}.",
            hint="Keep a dump (pg_dump), delete what may go, and step down again.",
        )
