"""Row-level security as the application role meets it: another organization, and no organization at all."""

from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from adapters.store.tables import metadata
from domain.runs.ports import ArtifactRef, StepStart
from domain.runs.words import StepKind
from tests.adapters.store.record import Record, passed
from tests.adapters.store.test_agents import agent_turn

TENANT = sorted(table.name for table in metadata.tables.values() if table.info.get("tenant"))


async def _fill(record: Record) -> UUID:
    """At least one row in every tenant table."""
    state = await record.opened()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    await record.sink.append(phase.key, began.lease, 1, "x")
    await record.phases.start_step(phase.key, began.lease, StepStart(key="k", kind=StepKind.COMMAND, title="t"))
    await agent_turn(record, phase, began)
    reference = ArtifactRef(sha256="b" * 64, size_bytes=1, name="output")
    await record.phases.finish(phase.key, began.lease, passed(artifacts=(reference,)))
    record.rows("INSERT INTO provider_policy VALUES (%s, 1, '{}', 'x', now()) RETURNING 1", record.org_id)
    record.rows("INSERT INTO usage_counter VALUES (%s, 'x', now()) RETURNING 1", record.org_id)
    record.rows(
        "INSERT INTO reservation (step_id, org_id, provider, created_at) VALUES (gen_random_uuid(), %s, 'x', now())"
        " RETURNING 1",
        record.org_id,
    )
    record.rows("INSERT INTO base_pack VALUES (%s, gen_random_uuid(), 'c', 'x', 1, now()) RETURNING 1", record.org_id)
    record.rows("INSERT INTO baseline VALUES (%s, gen_random_uuid(), 't', 'k', '{}', now()) RETURNING 1", record.org_id)
    return state.run_id


async def test_other_organizations_see_nothing_and_change_nothing(record: Record) -> None:
    await _fill(record)
    for setting in (str(uuid4()), "", None):
        with psycopg.connect(record.urls.app_url, autocommit=True) as connection:
            if setting is not None:
                connection.execute("SELECT set_config('app.org_id', %s, false)", (setting,))
            for table in TENANT:
                name = sql.Identifier(table)
                count = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchone()
                assert count == (0,), f"{table} shows rows to organization {setting!r}"
                if table != "run_event":
                    changed = connection.execute(sql.SQL("DELETE FROM {}").format(name))
                    assert changed.rowcount == 0
    for table in TENANT:
        with psycopg.connect(record.urls.admin_url) as connection:
            count = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
            assert count is not None and count[0] >= 1, f"{table} was not filled by this test"


async def test_a_row_of_another_organization_cannot_be_written(record: Record) -> None:
    insert = "INSERT INTO usage_counter (org_id, scope, window_start) VALUES (%s, 'x', now())"
    with psycopg.connect(record.urls.app_url, autocommit=True) as connection:
        with pytest.raises(InsufficientPrivilege):
            connection.execute(insert, (record.org_id,))
        connection.execute("SELECT set_config('app.org_id', %s, false)", (str(uuid4()),))
        with pytest.raises(InsufficientPrivilege):
            connection.execute(insert, (record.org_id,))


async def test_what_was_told_cannot_be_changed(record: Record) -> None:
    await _fill(record)
    with psycopg.connect(record.urls.app_url, autocommit=True) as connection:
        connection.execute("SELECT set_config('app.org_id', %s, false)", (str(record.org_id),))
        for statement in (b"UPDATE run_event SET actor = 'me'", b"DELETE FROM run_event", b"TRUNCATE run_event"):
            with pytest.raises(InsufficientPrivilege):
                connection.execute(statement)


async def test_the_organization_does_not_stay_on_a_connection(record: Record) -> None:
    await _fill(record)
    for _ in range(record.database.pool.max_size):
        async with record.database.organization(record.org_id) as connection:
            await connection.execute("SELECT 1")
    assert await record.database.one("SELECT count(*) FROM run") == 0


async def test_the_index_of_the_run_list_is_used_under_security(record: Record) -> None:
    async with record.database.organization(record.org_id) as connection:
        await connection.execute("SET LOCAL enable_seqscan = off")
        for where, index in (("true", "ix_run_newest"), ("status = 'FAILED'", "ix_run_newest_of_status")):
            query = f"EXPLAIN SELECT id FROM run WHERE {where} ORDER BY created_at DESC, id DESC LIMIT 10"
            plan = "\n".join(str(row[0]) for row in await (await connection.execute(query.encode())).fetchall())
            assert index in plan and "Sort" not in plan, plan
