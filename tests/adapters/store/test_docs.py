"""docs/record.md names every table on its right side, and every function."""

import re
from pathlib import Path

import psycopg

from adapters.store.tables import metadata
from tests.support.databases import Database

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "record.md").read_text()


def _section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def test_every_table_is_listed_where_it_belongs() -> None:
    tenant = {table.name for table in metadata.tables.values() if table.info.get("tenant")}
    told = set(re.findall(r"[a-z_]+", _section("Tenant tables").split("\n\n")[0]))
    assert told == tenant
    rows = re.findall(r"^\| `([a-z_ ]+)`", _section("System tables"), re.MULTILINE)
    assert {name for row in rows for name in row.split()} == set(metadata.tables) - tenant


def test_every_function_is_listed(module_database: Database) -> None:
    with psycopg.connect(module_database.admin_url) as connection:
        rows = connection.execute("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace").fetchall()
    told = set(re.findall(r"`([a-z_]+)`", _section("Functions")))
    missing = {str(row[0]) for row in rows} - told
    assert not missing, f"name them in docs/record.md: {sorted(missing)}"
