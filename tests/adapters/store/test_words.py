"""Every closed word list and its CHECK say the same; PostgreSQL is asked, not the table's own text."""

import re
from enum import StrEnum

import psycopg
import pytest
from sqlalchemy import CheckConstraint

from adapters.store.tables import metadata
from tests.support.databases import Database

CHECKS: list[tuple[str, str, type[StrEnum]]] = [
    (table.name, constraint.info["column"], constraint.info["words"])
    for table in metadata.sorted_tables
    for constraint in sorted(table.constraints, key=lambda c: str(c.name))
    if isinstance(constraint, CheckConstraint)
]


@pytest.mark.parametrize(("table", "column", "words"), CHECKS, ids=[f"{t}.{c}" for t, c, _ in CHECKS])
def test_a_check_lists_the_words_of_its_enum(
    module_database: Database, table: str, column: str, words: type[StrEnum]
) -> None:
    with psycopg.connect(module_database.admin_url) as connection:
        row = connection.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND conname = %s",
            (table, f"ck_{table}_{column}"),
        ).fetchone()
    assert row is not None, f"{table}.{column} has no CHECK: add a migration"
    assert set(re.findall(r"'([^']*)'::text", row[0])) == {word.value for word in words}, "add a migration"
