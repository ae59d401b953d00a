"""Work over all organizations: delivery, the reconciler's list, leases that ran out, totals, output, wake-ups."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from uuid import UUID, uuid4

import psycopg

from adapters.store.phases import PostgresPhaseLedger
from adapters.store.reconcile import PostgresOpenRuns
from adapters.store.relay import PostgresOutbox
from adapters.store.upkeep import Upkeep
from adapters.store.wakeups import MOST_NAMED, Notifier, PostgresWakeups
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.outcome import Outcome
from domain.runs.ports import ArtifactRef, StepStart
from domain.runs.run_ledger import FinaliseRun
from domain.runs.words import OutcomeKind, RequestKind, StepKind
from tests.adapters.store.record import Record, passed


@asynccontextmanager
async def running(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_deliveries_go_in_order_each_to_one_relay(record: Record) -> None:
    outbox = PostgresOutbox(record.database)
    first, second = await record.create(), await record.create()
    await record.requests.cancel_run(record.org_id, first.run_id, actor="ada")

    claims = await asyncio.gather(*(outbox.claim(limit=10, lease_seconds=60) for _ in range(5)))
    claimed = [delivery for batch in claims for delivery in batch]
    assert sorted(d.run_id for d in claimed) == sorted([first.run_id, second.run_id])
    assert {d.kind for d in claimed} == {RequestKind.START}, "of one run only its oldest"
    assert await outbox.claim(limit=10, lease_seconds=60) == []

    for delivery in claimed:
        await outbox.sent(delivery)
        await outbox.sent(delivery)
    statuses = record.rows("SELECT status, sent_at FROM request WHERE kind = 'start'")
    assert all(r["status"] == "sent" and r["sent_at"] is not None for r in statuses)
    [cancel] = await outbox.claim(limit=10, lease_seconds=60)
    assert (cancel.kind, cancel.workflow_id) == (RequestKind.CANCEL, f"run/{record.org}/{first.run_id}")
    await outbox.failed(cancel, "Temporal is away\x00")
    [row] = record.rows("SELECT last_problem, tries, due_at > now() AS later FROM outbox")
    assert row == {"last_problem": "Temporal is away", "tries": 1, "later": True}


async def test_a_relay_that_died_hides_its_rows_for_its_lease_only(record: Record) -> None:
    outbox = PostgresOutbox(record.database)
    await record.create()
    [claimed] = await outbox.claim(limit=10, lease_seconds=0)
    [again] = await outbox.claim(limit=10, lease_seconds=60)
    assert again == claimed
    assert record.rows("SELECT tries FROM outbox") == [{"tries": 2}]


async def test_an_applied_request_stays_applied_when_the_relay_says_sent_late(record: Record) -> None:
    outbox = PostgresOutbox(record.database)
    made = await record.create()
    [delivery] = await outbox.claim(limit=1, lease_seconds=60)
    await record.runs.open(record.opening(made.run_id), None)
    await outbox.sent(delivery)
    assert record.rows("SELECT status FROM request") == [{"status": "applied"}]


async def test_the_reconciler_sees_open_runs_of_all_organizations_that_temporal_has(record: Record) -> None:
    other = replace(record, org_id=uuid4(), org="other")
    await other.add_organization(other.org_id, other.org)
    states = [await record.opened(), await other.opened()]
    ended = await record.opened()
    error = PhaseError(kind=ErrorKind.INTERNAL, message="gone", excerpt="x")
    outcome = Outcome(kind=OutcomeKind.ORPHANED, error=error)
    await record.runs.finalise(FinaliseRun(org_id=record.org_id, run_id=ended.run_id, outcome=outcome))
    for delivery in await PostgresOutbox(record.database).claim(limit=9, lease_seconds=60):
        await PostgresOutbox(record.database).sent(delivery)
    await record.create()  # not delivered yet

    open_runs = PostgresOpenRuns(record.database, "this process")
    rows = await open_runs.open_runs(quiet_seconds=0)

    assert {(r.org_id, r.run_id) for r in rows} == {(s.org_id, s.run_id) for s in states}
    assert {r.workflow_id for r in rows} >= {f"run/{record.org}/{states[0].run_id}"}
    assert await open_runs.open_runs(quiet_seconds=3600) == []


async def test_one_process_reconciles_until_its_lease_ends(record: Record) -> None:
    one, two = PostgresOpenRuns(record.database, "one"), PostgresOpenRuns(record.database, "two")
    assert await one.reconciling()
    assert not await two.reconciling()
    assert await one.reconciling()
    record.rows("UPDATE permit SET expires_at = now() - interval '1 second' RETURNING 1")
    assert await two.reconciling()
    assert not await one.reconciling()


async def test_upkeep_sweeps_leases_that_ran_out_and_says_which_executions_were_lost(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    await record.phases.start_step(phase.key, began.lease, StepStart(key="k", kind=StepKind.COMMAND, title="t"))
    await Upkeep(record.database).often()
    assert len(record.rows("SELECT 1 FROM permit")) == 1, "a lease that holds is left alone"
    record.rows("UPDATE permit SET expires_at = now() - interval '1 second' RETURNING 1")

    await Upkeep(record.database).often()

    assert record.rows("SELECT 1 FROM permit") == []
    [execution] = record.rows("SELECT status, error->>'kind' AS kind, error->>'excerpt' AS excerpt FROM execution")
    assert execution == {"status": "lost", "kind": "worker_lost", "excerpt": "(the phase left no output)"}
    assert record.rows("SELECT status FROM step") == [{"status": "lost"}]
    assert record.events(state.run_id)[-1] == "phase.lost"
    assert not await record.phases.finish(phase.key, began.lease, passed())
    again = await record.begun(phase)
    assert again.lease.number == 2
    assert record.events(state.run_id).count("phase.lost") == 1


async def test_totals_are_the_same_before_and_after_folding_and_folding_is_safe_at_once(record: Record) -> None:
    for _ in range(3):
        await record.create()
    total = "SELECT sum(amount)::int AS n FROM (SELECT amount FROM tally UNION ALL SELECT amount FROM tally_delta) x"
    for _ in range(2):
        await asyncio.gather(*(Upkeep(record.database).often() for _ in range(4)))
        assert record.rows(total) == [{"n": 3}]
    assert record.rows("SELECT a, amount FROM tally") == [{"a": "QUEUED", "amount": 3}]


async def test_output_goes_only_when_an_artifact_has_the_whole_of_it(record: Record) -> None:
    state = await record.opened()
    for name, artifacts in (
        ("implement", ()),
        ("verify", (ArtifactRef(sha256="b" * 64, size_bytes=1, name="output"),)),
    ):
        phase = record.phase(state.run_id, name)
        began = await record.begun(phase)
        await record.sink.append(phase.key, began.lease, 1, name)
        await record.phases.finish(phase.key, began.lease, passed(artifacts=artifacts))
    await Upkeep(record.database).seldom()
    assert len(record.rows("SELECT 1 FROM output_chunk")) == 2, "viewers still read it"
    record.rows("UPDATE execution SET ended_at = now() - interval '1 hour' RETURNING 1")
    await Upkeep(record.database).seldom()
    assert record.rows("SELECT text FROM output_chunk") == [{"text": "implement"}]


async def test_a_write_wakes_who_waits_for_its_run_and_nobody_else(record: Record) -> None:
    notifier, wakeups = Notifier(record.database), PostgresWakeups(record.urls.app_url)
    state = await record.opened()
    async with (
        running(wakeups.run),
        running(notifier.run),
        wakeups.of_run(state.run_id) as mine,
        wakeups.of_run(uuid4()) as another,
    ):
        for wakeup in (mine, another):  # everyone looks once when the listener connects
            await asyncio.wait_for(wakeup.woken.wait(), 30)
            wakeup.woken.clear()
        ledger = PostgresPhaseLedger(record.database, notifier.mark)
        await ledger.begin(record.phase(state.run_id), worker="w", max_executions=5)
        await asyncio.wait_for(mine.woken.wait(), 30)
        assert not another.woken.is_set()


async def test_many_writes_are_few_notes(record: Record) -> None:
    notifier = Notifier(record.database)
    runs = [uuid4() for _ in range(MOST_NAMED + 1)]
    for chosen, payload in ((runs[:3], None), (runs, "*")):
        for run_id in chosen * 10:
            notifier.mark(run_id)
        notes = await _notes(record, notifier)
        assert len(notes) == 1
        if payload is not None:
            assert notes == [payload]
        else:
            assert {UUID(text) for text in notes[0].split()} == set(chosen)
    assert await _notes(record, notifier) == []


async def test_listeners_connect_again_and_look_again(record: Record) -> None:
    wakeups = PostgresWakeups(record.urls.app_url)
    async with running(wakeups.run), wakeups.of_run(uuid4()) as waiting:
        await asyncio.wait_for(waiting.woken.wait(), 30)
        waiting.woken.clear()
        record.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'")
        await asyncio.wait_for(waiting.woken.wait(), 30)


async def _notes(record: Record, notifier: Notifier) -> list[str]:
    async with await psycopg.AsyncConnection.connect(record.urls.app_url, autocommit=True) as connection:
        await connection.execute("LISTEN millwright_runs")
        await notifier.flush()
        return [note.payload async for note in connection.notifies(timeout=0.3)]
