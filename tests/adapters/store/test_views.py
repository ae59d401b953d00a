"""Read models: the whole run as rows tell it, pages with exact totals, only one's own organization."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from adapters.store.relay import PostgresOutbox
from adapters.store.upkeep import Upkeep
from adapters.store.views import PostgresViews
from adapters.store.workers import PostgresWorkers
from domain.errors import InvalidInput, NotFound
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.messages import PhaseResult
from domain.runs.outcome import Outcome
from domain.runs.ports import ArtifactRef, Finished, StepEnd, StepStart, Usage
from domain.runs.run_ledger import FinaliseRun
from domain.runs.views import PHASE_SECONDS_BOUNDS, RunFilter
from domain.runs.words import EventType, ExecutionStatus, OutcomeKind, PhaseStatus, RunStatus, StepKind, StepStatus
from tests.adapters.store.record import PIPELINE, Record, passed

STEP = StepStart(key="command#1", kind=StepKind.COMMAND, title="pytest")


async def test_a_run_with_phases_attempts_executions_and_steps(record: Record) -> None:
    state = await record.opened()
    first = record.phase(state.run_id, "implement")
    await record.phases.finish(first.key, (await record.begun(first)).lease, passed(summary="did it"))
    second = record.phase(state.run_id, "verify")
    began = await record.begun(second)
    await record.phases.fail_execution(
        second.key, began.lease, PhaseError(kind=ErrorKind.SANDBOX, message="x"), Usage()
    )
    began = await record.begun(second)
    await record.phases.start_step(second.key, began.lease, STEP)
    await record.phases.end_step(second.key, began.lease, STEP.key, StepEnd(status=StepStatus.FAILED, exit_code=1))
    error = PhaseError(kind=ErrorKind.COMMAND_FAILED, message="exit 1", excerpt="assert")
    result = PhaseResult(status=PhaseStatus.FAILED, error=error, fingerprint="f")
    artifacts = (ArtifactRef(sha256="b" * 64, size_bytes=1, name="output"),)
    await record.phases.finish(second.key, began.lease, Finished(result=result, exit_code=1, artifacts=artifacts))

    view = await PostgresViews(record.database).run(record.org_id, state.run_id)

    assert view.pipeline == PIPELINE and view.pipeline_hash == PIPELINE.content_hash
    assert (view.title, view.actor, view.repo_path) == ("Mend the adder", "ada", "/somewhere/sample")
    assert [(p.iteration, p.phase, p.kind) for p in view.phases] == [
        (1, "implement", "model"),
        (1, "verify", "command"),
    ]
    verify = view.phases[1].newest
    assert (verify.status, verify.error, verify.artifacts) == (PhaseStatus.FAILED, error, artifacts)
    assert [(e.number, e.status) for e in verify.executions] == [
        (1, ExecutionStatus.FAILED),
        (2, ExecutionStatus.DONE),
    ]
    assert [(s.key, s.exit_code) for s in verify.executions[1].steps] == [("command#1", 1)]
    assert view.phases[0].newest.summary == "did it"
    assert view.newest_event == len(record.events(state.run_id))
    assert [(r.kind, r.status) for r in view.requests] == [("start", "applied")]
    assert view.usage.cost_usd == Decimal(0)


async def test_what_was_asked_and_why_it_is_not_delivered(record: Record) -> None:
    recorded = await record.create()
    await record.requests.cancel_run(record.org_id, recorded.run_id, actor="ada", reason="enough")
    outbox, views = PostgresOutbox(record.database), PostgresViews(record.database)
    [delivery] = await outbox.claim(limit=9, lease_seconds=60)
    assert (await views.run(record.org_id, recorded.run_id)).delivery_problem is None

    await outbox.failed(delivery, "its disk is full")
    view = await views.run(record.org_id, recorded.run_id)
    assert view.delivery_problem == "its disk is full"
    assert [(r.kind, r.actor, r.reason) for r in view.requests] == [("start", "ada", ""), ("cancel", "ada", "enough")]
    [item] = (await views.list_runs(record.org_id, RunFilter(), limit=9)).runs
    assert item.delivery_problem == "its disk is full"

    await outbox.sent(delivery)
    assert (await views.run(record.org_id, recorded.run_id)).delivery_problem is None


async def test_events_and_chunks_behind_a_position(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    old = await record.begun(phase)
    await record.sink.append(phase.key, old.lease, 1, "a")
    await record.sink.append(phase.key, old.lease, 2, "b")
    new = await record.begun(phase)
    await record.sink.append(phase.key, new.lease, 1, "c")
    views = PostgresViews(record.database)

    events = await views.events(record.org_id, state.run_id, after=2, limit=2)
    assert [(e.seq, e.type) for e in events] == [(3, EventType.PHASE_STARTED), (4, EventType.PHASE_LOST)]

    chunks = await views.chunks(record.org_id, state.run_id, after=(0, -1), limit=10)
    assert [c.text for c in chunks] == ["a", "b", "c"]
    assert [c.execution_ordinal for c in chunks] == [3, 3, 5]
    behind = await views.chunks(record.org_id, state.run_id, after=(3, 1), limit=1)
    assert [c.text for c in behind] == ["b"]
    assert await views.chunks(record.org_id, state.run_id, after=(5, 1), limit=10) == []


async def test_pages_totals_and_cursors(record: Record) -> None:
    runs = [(await record.create()).run_id for _ in range(5)]
    for run_id in runs[:2]:
        await record.runs.open(record.opening(run_id), None)
        await record.runs.finalise(_failed(record, run_id))
    views = PostgresViews(record.database)

    for _ in range(2):  # with totals still as deltas, then folded
        page = await views.list_runs(record.org_id, RunFilter(), limit=2)
        assert ([r.id for r in page.runs], page.total) == ([runs[4], runs[3]], 5)
        failed = await views.list_runs(record.org_id, RunFilter(status=RunStatus.FAILED), limit=100)
        assert ([r.id for r in failed.runs], failed.total, failed.next_cursor) == ([runs[1], runs[0]], 2, None)
        assert failed.runs[0].error is not None and failed.runs[0].outcome_kind is OutcomeKind.STUCK
        await Upkeep(record.database).often()
    assert record.rows("SELECT 1 FROM tally_delta") == []

    seen, cursor = [r.id for r in page.runs], page.next_cursor
    while cursor is not None:
        following = await views.list_runs(record.org_id, RunFilter(), limit=2, cursor=cursor)
        seen += [r.id for r in following.runs]
        cursor = following.next_cursor
    assert seen == runs[::-1]
    offset = await views.list_runs(record.org_id, RunFilter(), limit=2, offset=3)
    assert [r.id for r in offset.runs] == [runs[1], runs[0]]

    mine = await views.list_runs(record.org_id, RunFilter(pipeline="code-change", workspace="sample"), limit=1)
    assert (mine.total, mine.total_at_least) == (5, None)
    none = await views.list_runs(record.org_id, RunFilter(workspace="other"), limit=1)
    assert (none.runs, none.total) == ((), 0)


async def test_with_other_filters_a_great_total_is_said_to_be_at_least(record: Record) -> None:
    views = PostgresViews(record.database, counted_at_most=2)
    for _ in range(3):
        await record.create()
    page = await views.list_runs(record.org_id, RunFilter(pipeline="code-change"), limit=1)
    assert (page.total, page.total_at_least) == (None, 2)


@pytest.mark.parametrize(
    ("field", "more"), [("offset", {"offset": 10_001}), ("cursor", {"cursor": "nonsense"}), ("cursor", {"cursor": "é"})]
)
async def test_a_page_that_cannot_be_named_is_refused(record: Record, field: str, more: dict[str, int]) -> None:
    with pytest.raises(InvalidInput) as refused:
        await PostgresViews(record.database).list_runs(record.org_id, RunFilter(), limit=1, **more)  # type: ignore[arg-type]
    assert refused.value.field == field


async def test_another_organization_sees_nothing(record: Record) -> None:
    state = await record.opened()
    other = replace(record, org_id=uuid4(), org="other")
    await other.add_organization(other.org_id, other.org)
    views = PostgresViews(record.database)
    for look in (
        views.run(other.org_id, state.run_id),
        views.events(other.org_id, state.run_id, after=0, limit=9),
        views.chunks(other.org_id, state.run_id, after=(0, -1), limit=9),
    ):
        with pytest.raises(NotFound):
            await look
    page = await views.list_runs(other.org_id, RunFilter(), limit=9)
    assert (page.runs, page.total) == ((), 0)
    await record.begun(record.phase(state.run_id))
    [pool] = await views.pools(other.org_id)
    assert (pool.name, pool.size, pool.in_use, pool.permits) == ("executor", 8, 1, ())
    [pool] = await views.pools(record.org_id)
    [permit] = pool.permits
    assert (permit.run_id, permit.phase, permit.worker) == (state.run_id, "verify", "worker-1")


async def test_metrics_agree_with_the_rows(record: Record) -> None:
    state = await record.opened()
    await record.create()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    error = PhaseError(kind=ErrorKind.COMMAND_FAILED, message="exit 1", excerpt="x")
    await record.phases.finish(
        phase.key, began.lease, Finished(result=PhaseResult(status=PhaseStatus.FAILED, error=error))
    )
    await record.runs.finalise(_failed(record, state.run_id))
    workers = PostgresWorkers(record.database)
    await workers.seen("worker-1", host="box", pid=1, slots=4)
    await workers.set_executor_permits(3)

    told = await PostgresViews(record.database).metrics()

    assert {status: n for status, n in told.runs.items() if n} == {RunStatus.QUEUED: 1, RunStatus.FAILED: 1}
    assert [(f.phase, f.kind, f.count) for f in told.phase_failures] == [("verify", "command_failed", 1)]
    [histogram] = told.phase_seconds
    assert histogram.kind == "command" and sum(histogram.counts) == 1
    assert len(histogram.counts) == len(PHASE_SECONDS_BOUNDS) + 1
    assert [(p.name, p.size, p.in_use) for p in told.pools] == [("executor", 3, 0)]
    assert told.undelivered_requests == 1
    assert [w.id for w in told.workers] == ["worker-1"]
    await workers.gone("worker-1")
    assert (await PostgresViews(record.database).metrics()).workers == ()


async def test_latency_buckets_are_the_ones_that_views_name(record: Record) -> None:
    for index, bound in enumerate((*PHASE_SECONDS_BOUNDS, 10_000.0)):
        record.rows(
            "SELECT phase_tally(%s, 'p', 'command', NULL, now() - make_interval(secs => %s), now())",
            record.org_id,
            bound * 0.99,
        )
        found = record.rows("SELECT b FROM tally_delta ORDER BY id DESC LIMIT 1")
        assert found == [{"b": str(index)}]


def _failed(record: Record, run_id: UUID) -> FinaliseRun:
    error = PhaseError(kind=ErrorKind.INVALID_OUTPUT, message="the same again", excerpt="x")
    outcome = Outcome(kind=OutcomeKind.STUCK, detail="implement", error=error)
    return FinaliseRun(org_id=record.org_id, run_id=run_id, outcome=outcome, iterations=2)
