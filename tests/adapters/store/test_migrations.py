"""The schema: as the tables say, up and down, never losing rows."""

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from adapters.store.migrate import migrate
from adapters.store.tables import metadata
from domain.errors import Conflict, InvalidInput, Unavailable
from tests.support.databases import Database


def _tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {str(row[0]) for row in rows}


def test_the_migrated_schema_is_what_the_tables_say(database: Database) -> None:
    engine = create_engine(database.admin_url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_server_default": True})
            assert compare_metadata(context, metadata) == []
    finally:
        engine.dispose()


def test_every_table_with_an_organization_is_under_forced_security_or_listed_as_system(database: Database) -> None:
    with psycopg.connect(database.admin_url) as connection:
        rows = connection.execute(
            "SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ).fetchall()
    secured = {name for name, forced in rows if forced}
    assert secured == {table.name for table in metadata.tables.values() if table.info.get("tenant")}


def test_the_product_may_ask_for_the_revision_and_the_role_sees_nothing_else_of_the_owner(database: Database) -> None:
    with psycopg.connect(database.app_url) as connection:
        row = connection.execute("SELECT count(*) FROM alembic_version").fetchone()
        assert row == (1,)
        rights = connection.execute(
            "SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert rights == (False, False)


def test_an_address_of_another_role_is_refused(database: Database) -> None:
    with pytest.raises(InvalidInput) as refused:
        migrate(database.admin_url, database.admin_url)
    assert refused.value.field == "DATABASE_URL"


def test_a_server_that_is_away_is_said(database: Database) -> None:
    with pytest.raises(Unavailable):
        migrate("postgresql://owner:x@127.0.0.1:1/none", None)


def test_up_down_up(empty_database: Database) -> None:
    newest = migrate(empty_database.admin_url, empty_database.app_url)
    before = _tables(empty_database.admin_url)
    assert migrate(empty_database.admin_url, empty_database.app_url, "down:base") == "base"
    assert _tables(empty_database.admin_url) == {"alembic_version"}
    assert migrate(empty_database.admin_url, empty_database.app_url) == newest
    assert _tables(empty_database.admin_url) == before


def test_a_step_down_that_would_lose_rows_refuses_and_names_them(empty_database: Database) -> None:
    newest = migrate(empty_database.admin_url, empty_database.app_url)
    with psycopg.connect(empty_database.admin_url, autocommit=True) as connection:
        connection.execute("INSERT INTO organization VALUES (gen_random_uuid(), 'acme', now())")
        connection.execute("INSERT INTO provider_policy SELECT id, 1, '{}', 'test', now() FROM organization")
    with pytest.raises(Conflict) as refused:
        migrate(empty_database.admin_url, empty_database.app_url, "down:base")
    assert "organization (1)" in refused.value.message
    assert "provider_policy (1)" in refused.value.message
    assert migrate(empty_database.admin_url, empty_database.app_url) == newest
    with psycopg.connect(empty_database.app_url) as connection:
        assert connection.execute("SELECT count(*) FROM provider_policy").fetchone() == (0,)
    with psycopg.connect(empty_database.admin_url) as connection:
        forced = "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'provider_policy'"
        assert connection.execute(forced).fetchone() == (True,)
