"""Runs from their request to their end: idempotent, all or nothing, never half told."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import psycopg
import pytest

from adapters.store.database import RETRY_SECONDS
from adapters.store.phases import PostgresPhaseLedger
from domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from domain.pipelines.spec import ModelPhase, PhaseKind, Pipeline
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.messages import RunStart, TaskSpec
from domain.runs.outcome import Outcome
from domain.runs.ports import WorkspaceFacts
from domain.runs.run_ledger import FinaliseRun, OpenRun, TemporalRequest
from domain.runs.words import OutcomeKind, PhaseStatus, RequestKind, RequestStatus
from domain.workspaces.ports import Base
from tests.adapters.store.record import BASE, Record, passed

TEXT = Pipeline(
    name="notes",
    needs_workspace=False,
    phases=(ModelPhase(name="write", kind=PhaseKind.MODEL, prompt="write"),),
)


def by_hand(record: Record, **more: object) -> OpenRun:
    start = RunStart.model_validate({"org": record.org, "task": "Mend", "repo": "/somewhere/sample", **more})
    return OpenRun(start=start, workflow_id="mine", workflow_run_id="wf-1", started_at_seconds=5.0)


def finalise(record: Record, run_id: UUID, kind: OutcomeKind) -> FinaliseRun:
    good = kind in (OutcomeKind.VERIFIED, OutcomeKind.COMPLETED)
    error = None if good else PhaseError(kind=ErrorKind.CANCELLED, message="it ended", excerpt="e")
    return FinaliseRun(org_id=record.org_id, run_id=run_id, outcome=Outcome(kind=kind, error=error), iterations=1)


async def test_a_run_is_recorded_with_request_event_and_delivery_at_once(record: Record) -> None:
    base = Base(commit="c" * 40, tree="t" * 40, branch=None, warnings=("HEAD is detached",))
    made = await record.requests.create_run(record.start(), base, actor="ada")

    row = record.run_row(made.run_id)
    assert (row["status"], row["title"], row["workspace_name"]) == ("QUEUED", "Mend the adder", "sample")
    assert row["workflow_id"] == f"run/{record.org}/{made.run_id}"
    assert record.events(made.run_id) == ["run.queued", "run.warning"]
    [request] = record.rows("SELECT id, status, kind FROM request")
    assert request == {"id": made.request_id, "status": "recorded", "kind": "start"}
    [delivery] = record.rows("SELECT run_id, request_id, priority FROM outbox")
    assert delivery == {"run_id": made.run_id, "request_id": made.request_id, "priority": 3}
    assert made.run_id in record.told


async def test_the_same_key_is_the_same_run_and_another_body_a_conflict(record: Record) -> None:
    answers = await asyncio.gather(*(record.create(idempotency_key="k") for _ in range(6)))
    assert len({a.run_id for a in answers}) == 1
    assert sorted(a.repeated for a in answers) == [False] + [True] * 5
    with pytest.raises(Conflict):
        await record.requests.create_run(record.start("Something else"), BASE, actor="ada", idempotency_key="k")
    assert len(record.rows("SELECT 1 FROM run")) == 1

    other = replace(record, org_id=uuid4(), org="other")
    await other.add_organization(other.org_id, other.org)
    assert not (await other.create(idempotency_key="k")).repeated


async def test_one_repository_is_one_workspace_and_a_taken_name_gets_a_number(record: Record) -> None:
    await asyncio.gather(*(record.create() for _ in range(4)))
    start = record.start().model_copy(update={"repo": "/elsewhere/sample"})
    await record.requests.create_run(start, BASE, actor="ada")
    facts = await record.catalogue.workspaces(record.org_id)
    assert [(f.name, f.repo_path) for f in facts] == [
        ("sample", "/somewhere/sample"),
        ("sample-2", "/elsewhere/sample"),
    ]
    named = RunStart(org=record.org, task=TaskSpec(change="x"), workspace="sample-2")
    assert await record.requests.repository_path(named) == "/elsewhere/sample"
    assert (await record.catalogue.workspace(record.org_id, named)) == facts[1]


@pytest.mark.parametrize(
    ("more", "error", "field"),
    [
        ({"org": "nobody"}, NotFound, "org"),
        ({"pipeline": "unknown"}, InvalidInput, "pipeline"),
        ({"pipeline": "code-change@12"}, InvalidInput, "pipeline"),
        ({"repo": None, "workspace": "unknown"}, InvalidInput, "workspace"),
        ({"repo": "relative/path"}, InvalidInput, "repo"),
        ({"repo": None}, InvalidInput, "repo"),
        ({"workspace": "sample", "repo": "/other"}, InvalidInput, "repo"),
        ({"task": None}, InvalidInput, "task"),
    ],
)
async def test_what_cannot_be_run_is_refused_and_nothing_written(
    record: Record, more: dict[str, object], error: type[Exception], field: str
) -> None:
    facts = WorkspaceFacts(workspace_id=uuid4(), name="sample", repo_path="/somewhere/sample")
    await record.catalogue.save_workspace(record.org_id, facts)
    with pytest.raises(error) as refused:
        await record.runs.open(by_hand(record, **more), BASE)
    assert refused.value.field == field  # type: ignore[attr-defined]
    assert refused.value.hint  # type: ignore[attr-defined]
    assert record.rows("SELECT 1 FROM run") == []
    assert len(record.rows("SELECT 1 FROM workspace")) == 1


async def test_a_pipeline_without_repository_needs_none(record: Record) -> None:
    await record.catalogue.publish(record.org_id, TEXT)
    request = by_hand(record, repo=None, pipeline=f"notes@{TEXT.content_hash[:8]}")
    assert await record.runs.repository_path(request.start) is None
    opened = await record.runs.open(request, None)
    assert opened.state is not None and opened.state.base_tree is None and opened.state.pipeline == TEXT


async def test_a_start_by_hand_is_recorded_once_by_its_workflow(record: Record) -> None:
    assert await record.runs.repository_path(by_hand(record).start) == "/somewhere/sample"
    first = await record.runs.open(by_hand(record), BASE)
    again = await record.runs.open(by_hand(record), BASE)

    assert first.state is not None and first.state.base_tree == BASE.tree
    assert again.run_id == first.run_id
    assert first.state.started_at_seconds == 5.0
    row = record.run_row(first.state.run_id)
    assert (row["status"], row["workflow_id"], row["actor"]) == ("RUNNING", "mine", "temporal (unverified)")
    assert record.events(first.state.run_id) == ["run.queued", "run.started"]
    assert record.rows("SELECT 1 FROM outbox") == []
    later = by_hand(record).model_copy(update={"workflow_run_id": "wf-2"})
    assert (await record.runs.open(later, BASE)).run_id != first.run_id


async def test_opening_starts_the_run_once_and_gives_its_attempts_back(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    await record.phases.finish(phase.key, (await record.begun(phase)).lease, passed())

    again = await record.runs.open(record.opening(state.run_id, "second"), None)

    assert again.state is not None
    assert [(a.phase, a.result.status) for a in again.state.attempts] == [("verify", PhaseStatus.PASSED)]
    assert record.events(state.run_id).count("run.started") == 1
    assert record.run_row(state.run_id)["workflow_run_id"] == "second"
    assert record.rows("SELECT status FROM request") == [{"status": "applied"}]


async def test_a_run_that_is_unknown_closed_or_to_be_resumed_is_refused(record: Record) -> None:
    with pytest.raises(NotFound):
        await record.runs.open(record.opening(uuid4()), None)
    state = await record.opened()
    await record.runs.finalise(finalise(record, state.run_id, OutcomeKind.COMPLETED))
    before = record.run_row(state.run_id)

    closed = await record.runs.open(record.opening(state.run_id), None)
    assert closed.refused is not None and "ended (SUCCEEDED)" in closed.refused.message
    resume = record.opening(state.run_id)
    resume = resume.model_copy(update={"start": RunStart(org=record.org, resume=state.run_id)})
    refused = (await record.runs.open(resume, None)).refused
    assert refused is not None
    assert refused.message == "A closed run cannot be reopened in this version; start a new run."
    assert record.run_row(state.run_id) == before


async def test_the_end_is_told_once_and_leaves_nothing_open(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    await record.requests.cancel_run(record.org_id, state.run_id, actor="ada")

    for kind in (OutcomeKind.CANCELLED, OutcomeKind.VERIFIED):
        await record.runs.finalise(finalise(record, state.run_id, kind))

    row = record.run_row(state.run_id)
    assert (row["status"], row["outcome_kind"], row["current_phase"]) == ("CANCELLED", "cancelled", None)
    assert row["finished_at"] is not None
    assert record.events(state.run_id)[-5:] == [
        "run.cancel_requested",
        "phase.lost",
        "phase.finished",
        "request.applied",
        "run.finished",
    ]
    for table in ("permit", "open_run", "outbox"):
        assert record.rows(f"SELECT 1 FROM {table}") == []
    assert record.rows("SELECT status FROM execution") == [{"status": "lost"}]
    [attempt] = record.rows("SELECT status, error FROM attempt")
    assert attempt["status"] == "cancelled" and attempt["error"]["excerpt"]
    assert not await record.phases.finish(phase.key, began.lease, passed())
    totals = record.rows("SELECT a, sum(amount)::int AS n FROM tally_delta WHERE name = 'runs' GROUP BY a")
    assert {t["a"]: t["n"] for t in totals if t["n"]} == {"CANCELLED": 1}


async def test_a_cancel_is_flagged_told_and_delivered_once(record: Record) -> None:
    made = await record.create()
    first = await record.requests.cancel_run(record.org_id, made.run_id, actor="ada", idempotency_key="c")
    again = await record.requests.cancel_run(record.org_id, made.run_id, actor="bob")
    same = await record.requests.cancel_run(record.org_id, made.run_id, actor="ada", idempotency_key="c")

    assert first.request_id == again.request_id == same.request_id
    assert (first.repeated, again.repeated, same.repeated) == (False, True, True)
    assert record.events(made.run_id) == ["run.queued", "run.cancel_requested"]
    assert [r["kind"] for r in record.rows("SELECT kind FROM outbox ORDER BY id")] == ["start", "cancel"]
    opened = await record.runs.open(record.opening(made.run_id), None)
    assert opened.state is not None and opened.state.cancel_requested
    assert (await record.runs.apply_requests(record.org_id, made.run_id)).cancel
    assert record.rows("SELECT status FROM request WHERE kind = 'cancel'") == [{"status": "applied"}]
    assert record.events(made.run_id)[-1] == "request.applied"
    other = await record.create()
    with pytest.raises(Conflict):
        await record.requests.cancel_run(record.org_id, other.run_id, actor="ada", idempotency_key="c")


async def test_a_cancel_of_a_run_that_is_unknown_or_has_ended_is_refused(record: Record) -> None:
    with pytest.raises(NotFound):
        await record.requests.cancel_run(record.org_id, uuid4(), actor="ada")
    state = await record.opened()
    await record.runs.finalise(finalise(record, state.run_id, OutcomeKind.COMPLETED))
    with pytest.raises(Conflict):
        await record.requests.cancel_run(record.org_id, state.run_id, actor="ada")


async def test_requests_through_temporal_are_recorded_before_they_count(record: Record) -> None:
    state = await record.opened()
    bad = TemporalRequest(org_id=record.org_id, run_id=state.run_id, kind=RequestKind.CANCEL, problem="not JSON")
    assert (await record.runs.record_request(bad))[1] is RequestStatus.REFUSED
    assert record.run_row(state.run_id)["cancel_requested_at"] is None
    retry = TemporalRequest(org_id=record.org_id, run_id=state.run_id, kind=RequestKind.RETRY)
    assert (await record.runs.record_request(retry))[1] is RequestStatus.REFUSED
    cancel = bad.model_copy(update={"problem": None, "payload_json": '{"reason": "enough"}'})
    request_id, status = await record.runs.record_request(cancel)
    assert status is RequestStatus.APPLIED
    assert (await record.runs.record_request(cancel))[0] == request_id
    await record.runs.request_cancel(record.org_id, state.run_id, actor="temporal (unverified)", reason="again")

    assert record.events(state.run_id)[2:] == ["request.refused", "request.refused", "run.cancel_requested"]
    [told] = record.rows("SELECT actor, data FROM run_event WHERE type = 'run.cancel_requested'")
    assert told["actor"] == "temporal (unverified)" and told["data"]["reason"] == "enough"
    with pytest.raises(InvalidInput):
        await record.runs.record_request(cancel.model_copy(update={"payload_json": "{"}))


async def test_requests_that_nobody_here_can_apply_say_so(record: Record) -> None:
    state = await record.opened()
    record.rows(
        "INSERT INTO request (id, org_id, run_id, kind, status, actor, created_at)"
        " VALUES (gen_random_uuid(), %s, %s, 'retry', 'sent', 'ada', now()) RETURNING 1",
        record.org_id,
        state.run_id,
    )
    assert not (await record.runs.apply_requests(record.org_id, state.run_id)).cancel
    [request] = record.rows("SELECT status, problem FROM request WHERE kind = 'retry'")
    assert request["status"] == "refused" and request["problem"]
    assert record.events(state.run_id)[-1] == "request.refused"


async def test_event_numbers_have_no_holes_under_concurrency(record: Record) -> None:
    state = await record.opened()
    names = ["implement", "verify", "deliver"]

    async def one(number: int) -> None:
        phase = record.phase(state.run_id, names[number % 3], iteration=1 + number // 3)
        began = await record.begun(phase)
        await record.runs.request_cancel(record.org_id, state.run_id, actor=f"a{number}", reason="")
        await record.phases.finish(phase.key, began.lease, passed())

    record.rows("UPDATE permit_pool SET size = 50 WHERE name = 'executor' RETURNING 1")
    await asyncio.gather(*(one(number) for number in range(18)))

    events = record.events(state.run_id)
    assert events.count("phase.started") == events.count("phase.finished") == 18
    assert events.count("run.cancel_requested") == 1


async def test_a_writer_killed_before_its_commit_leaves_neither_status_nor_event(record: Record) -> None:
    """The server process of the connection is ended while the statement waits inside its transaction."""
    state = await record.opened()
    before = record.run_row(state.run_id), record.events(state.run_id)
    with psycopg.connect(record.urls.admin_url) as blocker:
        # The end's last write is the row of open runs; held here, the statement stands behind all the others.
        blocker.execute("SELECT 1 FROM open_run WHERE run_id = %s FOR UPDATE", (state.run_id,))
        task = asyncio.create_task(record.runs.finalise(finalise(record, state.run_id, OutcomeKind.COMPLETED)))
        for _ in range(1 + len(RETRY_SECONDS)):  # the first try, and those after a dead connection
            pid = await _waiting_for_a_lock(record)
            record.rows("SELECT pg_terminate_backend(%s)", pid)
            await _gone(record, pid)
        with pytest.raises(Unavailable):
            await task
    assert (record.run_row(state.run_id), record.events(state.run_id)) == before
    await record.runs.finalise(finalise(record, state.run_id, OutcomeKind.COMPLETED))
    assert record.events(state.run_id)[-1] == "run.finished"
    assert record.run_row(state.run_id)["status"] == "SUCCEEDED"


async def test_a_database_that_restarted_costs_no_caller_an_error(record: Record) -> None:
    state = await record.opened()
    await asyncio.gather(*(record.database.one("SELECT pg_sleep(0.1)") for _ in range(5)))
    record.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'millwright_app'")
    ledger = PostgresPhaseLedger(record.database, lambda run_id: None)
    for name in ("implement", "verify"):
        await ledger.begin(record.phase(state.run_id, name), worker="w", max_executions=5)


async def _waiting_for_a_lock(record: Record) -> int:
    for _ in range(500):
        rows = record.rows(
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%run_finalise%%'"
        )
        if rows:
            pid: int = rows[0]["pid"]
            return pid
        await asyncio.sleep(0.02)
    raise AssertionError("finalise never waited for the lock")


async def _gone(record: Record, pid: int) -> None:
    for _ in range(500):
        if not record.rows("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the server process did not end")
