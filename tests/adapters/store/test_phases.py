"""The phase protocol on the record: permits, fencing, takeover, waiting, the bound on executions."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from adapters.store.calls import PostgresCallLedger
from adapters.store.phases import PostgresPhaseLedger
from domain.errors import NotFound, PhaseFailure
from domain.models.messages import CallScope, CallTimes, ModelReply, TokenUsage
from domain.models.ports import BegunCall, CallEnd, CallTerms
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.messages import PhaseResult
from domain.runs.ports import (
    AlreadyDone,
    ArtifactRef,
    Began,
    CommitFacts,
    Finished,
    MustWait,
    StepEnd,
    StepStart,
    Usage,
)
from domain.runs.words import Effect, PhaseStatus, StepKind, StepStatus, WaitReason
from tests.adapters.store.record import BASE, PIPELINE, Record, passed

COMMAND = StepStart(key="command#1", kind=StepKind.COMMAND, title="pytest", effect=Effect.IDEMPOTENT)


async def test_a_phase_from_begin_to_finish(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)

    assert began.lease.number == 1
    assert began.run.pipeline == PIPELINE
    assert began.run.workspace is not None and began.run.workspace.repo_path == "/somewhere/sample"
    assert began.run.branch is not None and began.run.branch.startswith("millwright/mend-the-adder-")
    [permit] = record.rows("SELECT * FROM permit WHERE pool = 'executor'")
    assert (permit["run_id"], permit["phase"], permit["worker"]) == (state.run_id, "verify", "worker-1")

    assert await record.phases.start_step(phase.key, began.lease, COMMAND) is None
    end = StepEnd(status=StepStatus.DONE, run_seconds=0.5, exit_code=0, tail="1 passed")
    await record.phases.end_step(phase.key, began.lease, COMMAND.key, end)
    commit = CommitFacts(sha="a" * 40, subject="Mend", files_changed=1, insertions=2, deletions=3)
    reference = ArtifactRef(sha256="b" * 64, size_bytes=9, name="output")
    finished = passed(commit=commit, branch="millwright/x", exit_code=0, summary="1 passed", artifacts=(reference,))
    assert await record.phases.finish(phase.key, began.lease, finished)

    assert record.rows("SELECT 1 FROM permit") == []
    assert record.events(state.run_id) == [
        "run.queued",
        "run.started",
        "phase.started",
        "commit.created",
        "branch.delivered",
        "phase.finished",
    ]
    [attempt] = record.rows("SELECT status, kind, executions, exit_code FROM attempt")
    assert attempt == {"status": "passed", "kind": "command", "executions": 1, "exit_code": 0}
    [step] = record.rows("SELECT status, exit_code, tail, run_seconds FROM step")
    assert step == {"status": "done", "exit_code": 0, "tail": "1 passed", "run_seconds": 0.5}
    assert record.rows("SELECT name, sha256 FROM artifact") == [{"name": "output", "sha256": "b" * 64}]


async def test_a_committed_attempt_is_returned_and_nothing_repeated(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    await record.phases.finish(phase.key, began.lease, passed(summary="fine"))
    before = record.events(state.run_id)

    again = await record.phases.begin(phase, worker="worker-2", max_executions=5)

    assert isinstance(again, AlreadyDone)
    assert again.result.status is PhaseStatus.PASSED
    assert record.events(state.run_id) == before
    assert await record.phases.finish(phase.key, began.lease, passed()), "said twice is said once"
    assert record.events(state.run_id) == before


async def test_the_next_phase_sees_what_came_before(record: Record) -> None:
    state = await record.opened()
    first = record.phase(state.run_id, "implement")
    await record.phases.finish(first.key, (await record.begun(first)).lease, passed(summary="the plan"))

    began = await record.begun(record.phase(state.run_id, "verify"))

    assert [(e.phase, e.iteration, e.summary) for e in began.earlier] == [("implement", 1, "the plan")]


async def test_facts_come_once_and_from_then_on_out_of_the_workers_memory(record: Record) -> None:
    state = await record.opened()
    ledger = record.phases
    for name in ("implement", "verify"):
        phase = record.phase(state.run_id, name)
        began = await ledger.begin(phase, worker="w", max_executions=5)
        assert isinstance(began, Began)
        assert began.run.run_id == state.run_id
        await ledger.finish(phase.key, began.lease, passed())
        record.rows("UPDATE run SET base_commit = 'other' RETURNING id")


async def test_a_new_execution_takes_over_and_the_old_one_is_fenced(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    old = await record.begun(phase, worker="dead")
    await record.phases.start_step(phase.key, old.lease, COMMAND)
    await record.sink.append(phase.key, old.lease, 1, "half of the out")

    new = await record.begun(phase, worker="alive")

    assert new.lease.number == 2
    [permit] = record.rows("SELECT worker, token FROM permit")
    assert permit == {"worker": "alive", "token": new.lease.token}
    [lost] = record.rows("SELECT status, error FROM execution WHERE number = 1")
    assert lost["status"] == "lost"
    assert lost["error"]["excerpt"] == "half of the out"
    assert record.rows("SELECT status, cost_usd FROM step") == [{"status": "lost", "cost_usd": None}]
    assert record.events(state.run_id)[-3:] == ["phase.started", "phase.lost", "phase.started"]

    assert not await record.phases.finish(phase.key, old.lease, passed())
    assert not await record.phases.fail_execution(phase.key, old.lease, _error(), Usage())
    assert not await record.phases.wait(phase.key, old.lease, _rate_limit())
    with pytest.raises(PhaseFailure):
        await record.phases.start_step(phase.key, old.lease, COMMAND)
    await record.phases.release(phase.key, old.lease)
    await record.sink.append(phase.key, old.lease, 2, "late")
    renewals = await record.phases.renew([(phase.key, old.lease), (phase.key, new.lease)])
    assert [r.held for r in renewals] == [False, True]
    assert record.rows("SELECT worker FROM permit") == [{"worker": "alive"}]
    assert len(record.rows("SELECT 1 FROM output_chunk")) == 1
    assert await record.phases.finish(phase.key, new.lease, passed())


async def test_an_earlier_step_with_the_same_key_is_told_and_not_written_again(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    old = await record.begun(phase)
    await record.phases.start_step(phase.key, old.lease, COMMAND)
    new = await record.begun(phase)

    assert await record.phases.start_step(phase.key, new.lease, COMMAND) is StepStatus.LOST
    assert len(record.rows("SELECT 1 FROM step")) == 1


async def test_a_lost_model_call_leaves_the_cost_unknown(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id, "implement")
    old = await record.begun(phase)
    _call(record, old, key="answered", status="done", cost=Decimal("0.25"))
    _call(record, old, key="in flight", status="running", cost=None)

    new = await record.begun(phase)
    _call(record, new, key="again", status="done", cost=Decimal("0.50"))
    await record.phases.finish(phase.key, new.lease, passed())

    for table in ("run", "attempt"):
        [row] = record.rows(f"SELECT tokens_in, tokens_out, cost_usd, known_cost_usd, api_seconds FROM {table}")
        assert (row["tokens_in"], row["tokens_out"], row["api_seconds"]) == (20, 4, 3.0)
        assert row["cost_usd"] is None
        assert row["known_cost_usd"] == Decimal("0.75")
    assert [row["cost_usd"] for row in record.rows("SELECT cost_usd FROM execution ORDER BY number")] == [
        None,
        Decimal("0.5"),
    ]


async def test_executions_are_bounded_and_the_attempt_then_fails_with_its_last_error(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    for number in (1, 2):
        began = await record.begun(phase)
        assert began.lease.number == number
        await record.phases.fail_execution(phase.key, began.lease, _error(), Usage())
    assert record.events(state.run_id).count("phase.execution_failed") == 2
    assert record.rows("SELECT 1 FROM permit") == []

    over = await record.phases.begin(phase, worker="w", max_executions=2)

    assert isinstance(over, AlreadyDone)
    assert over.result.status is PhaseStatus.FAILED
    assert over.result.error is not None
    assert over.result.error.kind is ErrorKind.SANDBOX
    assert over.result.error.excerpt == "(the phase left no output)"
    assert over.result.executions == 2
    assert record.events(state.run_id)[-1] == "phase.finished"
    again = await record.phases.begin(phase, worker="w", max_executions=2)
    assert again == over


async def test_workers_that_die_each_time_end_the_attempt_as_worker_lost(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    for _ in range(2):
        await record.begun(phase)
    over = await record.phases.begin(phase, worker="w", max_executions=2)
    assert isinstance(over, AlreadyDone) and over.result.error is not None
    assert over.result.error.kind is ErrorKind.WORKER_LOST
    assert over.result.error.message and over.result.error.hint
    assert record.rows("SELECT 1 FROM permit") == []


async def test_no_permit_is_a_wait_told_once_and_leaves_no_execution(record: Record) -> None:
    record.rows("UPDATE permit_pool SET size = 1 WHERE name = 'executor' RETURNING size")
    holder, waiter = await record.opened(), await record.opened()
    held = record.phase(holder.run_id)
    lease = (await record.begun(held)).lease
    phase = record.phase(waiter.run_id)

    for _ in range(3):
        answer = await record.phases.begin(phase, worker="w", max_executions=5)
        assert isinstance(answer, MustWait)
        assert answer.reason is WaitReason.NO_PERMIT
        assert answer.until > datetime.now(UTC)

    assert record.events(waiter.run_id) == ["run.queued", "run.started", "phase.waiting"]
    row = record.run_row(waiter.run_id)
    assert (row["status"], row["waiting_reason"], row["current_phase"]) == ("WAITING", "no_permit", "verify")
    assert record.rows("SELECT 1 FROM execution WHERE run_id = %s", waiter.run_id) == []

    await record.phases.finish(held.key, lease, passed())
    await record.begun(phase)
    row = record.run_row(waiter.run_id)
    assert (row["status"], row["waiting_reason"]) == ("RUNNING", None)


async def test_an_execution_that_turned_out_to_be_a_wait_is_none(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id, "implement")
    began = await record.begun(phase)
    _call(record, began, key="refused", status="failed", cost=Decimal(0))
    await record.sink.append(phase.key, began.lease, 1, "asking")

    assert await record.phases.wait(phase.key, began.lease, _rate_limit())

    assert record.rows("SELECT 1 FROM execution") == []
    assert record.rows("SELECT 1 FROM permit") == []
    assert record.rows("SELECT 1 FROM output_chunk") == []
    assert [s["execution_id"] for s in record.rows("SELECT execution_id FROM step")] == [None]
    assert record.run_row(state.run_id)["status"] == "WAITING"
    assert record.events(state.run_id)[-1] == "phase.waiting"
    assert (await record.begun(phase)).lease.number == 1


async def test_an_expired_lease_does_not_count_and_cannot_be_renewed(record: Record) -> None:
    record.rows("UPDATE permit_pool SET size = 1 WHERE name = 'executor' RETURNING size")
    first, second = await record.opened(), await record.opened()
    held = record.phase(first.run_id)
    lease = (await record.begun(held)).lease
    record.rows("UPDATE permit SET expires_at = now() - interval '1 second' RETURNING token")

    await record.begun(record.phase(second.run_id))

    [renewal] = await record.phases.renew([(held.key, lease)])
    assert not renewal.held


async def test_the_cap_is_never_exceeded(record: Record) -> None:
    record.rows("UPDATE permit_pool SET size = 3 WHERE name = 'executor' RETURNING size")
    runs = [await record.opened() for _ in range(20)]
    ledger = PostgresPhaseLedger(record.database, lambda run_id: None)
    most = 0

    async def contend(state_number: int) -> None:
        nonlocal most
        phase = record.phase(runs[state_number].run_id)
        while True:
            answer = await ledger.begin(phase, worker=f"w{state_number}", max_executions=5)
            if isinstance(answer, Began):
                held = await record.database.one("SELECT count(*) FROM permit WHERE pool = 'executor'")
                most = max(most, held)
                await ledger.finish(phase.key, answer.lease, passed())
                return
            await asyncio.sleep(0.02)

    await asyncio.gather(*(contend(number) for number in range(20)))

    assert 1 <= most <= 3
    assert all(record.events(state.run_id)[-1] == "phase.finished" for state in runs)


async def test_renewal_tells_of_a_cancel(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    assert not began.cancel_requested

    await record.requests.cancel_run(record.org_id, state.run_id, actor="ada")

    [renewal] = await record.phases.renew([(phase.key, began.lease)])
    assert renewal.held and renewal.cancel_requested
    again = await record.begun(phase)
    assert again.cancel_requested


async def test_the_same_chunk_sent_longer_replaces_the_shorter_one(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    await record.sink.append(phase.key, began.lease, 1, "one\x00 \\u0000")
    await record.sink.append(phase.key, began.lease, 1, "one\x00 \\u0000 two")
    assert [c["text"] for c in record.rows("SELECT text FROM output_chunk")] == ["one\ufffd \\u0000 two"]


async def test_a_failed_result_never_lacks_an_excerpt(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    await record.sink.append(phase.key, began.lease, 1, "E   assert 1 == 2")
    error = PhaseError(kind=ErrorKind.COMMAND_FAILED, message="exit code 1")
    result = PhaseResult(status=PhaseStatus.FAILED, error=error, tree=BASE.tree)
    await record.phases.finish(phase.key, began.lease, Finished(result=result))
    [attempt] = record.rows("SELECT error FROM attempt")
    assert attempt["error"]["excerpt"] == "E   assert 1 == 2"


async def test_a_phase_of_a_run_that_has_ended_does_not_begin(record: Record) -> None:
    state = await record.opened()
    record.rows("UPDATE run SET status = 'CANCELLED' RETURNING id")
    answer = await record.phases.begin(record.phase(state.run_id), worker="w", max_executions=5)
    assert isinstance(answer, AlreadyDone)
    assert answer.result.status is PhaseStatus.CANCELLED
    assert record.rows("SELECT 1 FROM execution") == []


async def test_a_run_of_another_organization_is_not_found(record: Record) -> None:
    state = await record.opened()
    other = record.phase(state.run_id)
    key = other.key.model_copy(update={"org_id": uuid4()})
    with pytest.raises(NotFound):
        await record.phases.begin(other.model_copy(update={"key": key}), worker="w", max_executions=5)


def _error() -> PhaseError:
    return PhaseError(kind=ErrorKind.SANDBOX, message="bwrap failed", hint="look")


def _rate_limit() -> MustWait:
    return MustWait(reason=WaitReason.RATE_LIMIT, until=datetime.now(UTC) + timedelta(seconds=5))


def _call(record: Record, began: Began, *, key: str, status: str, cost: Decimal | None) -> None:
    done = status == "done"
    record.rows(
        "INSERT INTO step (id, org_id, run_id, attempt_id, execution_id, key, kind, title, effect, status, started_at,"
        " tokens_in, tokens_out, cost_usd, api_seconds)"
        " SELECT gen_random_uuid(), org_id, run_id, attempt_id, id, %s, 'model_call', 'call', 'none', %s, now(),"
        " %s, %s, %s, %s FROM execution WHERE id = %s RETURNING id",
        key,
        status,
        10 if done else None,
        2 if done else None,
        cost,
        1.5 if done else None,
        began.lease.execution_id,
    )


async def _last_call(record: Record, began: Began) -> CallEnd:
    """Begun and answered, its end not yet written."""
    record.rows(
        "INSERT INTO provider_policy (org_id, version, document, actor, created_at)"
        " VALUES (%s, 1, '{}', 't', now()) RETURNING version",
        record.org_id,
    )
    scope = CallScope(
        org_id=record.org_id,
        run_id=began.run.run_id,
        attempt_id=began.lease.attempt_id,
        execution_id=began.lease.execution_id,
        step_key="call#1",
    )
    ledger = PostgresCallLedger(record.database, worker="worker-1")
    begun = await ledger.begin_call(
        scope, CallTerms(provider="scripted", model="demo", policy_version=1), waited_seconds=lambda: 0.0
    )
    assert isinstance(begun, BegunCall)
    return CallEnd(
        step_id=begun.step_id,
        token=begun.token,
        times=CallTimes(queue_seconds=0.1, api_seconds=2.0, run_seconds=0.0),
        reply=ModelReply(text="a\x00b", usage=TokenUsage(tokens_in=3, tokens_out=4)),
        reply_sha256="d" * 64,
        body=b"a\x00b",
        cost_usd=Decimal("0.5"),
        price_version="prices",
    )


async def test_the_last_call_and_the_phase_end_together(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    call = await _last_call(record, began)

    assert await record.phases.finish(phase.key, began.lease, passed(), call)

    [step] = record.rows("SELECT status, reply_body, api_seconds, cost_usd FROM step")
    assert step == {"status": "done", "reply_body": b"a\x00b", "api_seconds": 2.0, "cost_usd": Decimal("0.5")}
    [attempt] = record.rows("SELECT tokens_in, tokens_out, cost_usd FROM attempt")
    assert attempt == {"tokens_in": 3, "tokens_out": 4, "cost_usd": Decimal("0.5")}
    assert record.rows("SELECT 1 FROM permit") == []


async def test_what_a_late_execution_paid_is_recorded_although_its_result_is_refused(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    late = await record.begun(phase)
    call = await _last_call(record, late)
    await record.begun(phase, worker="worker-2")

    assert not await record.phases.finish(phase.key, late.lease, passed(), call)

    [step] = record.rows("SELECT status, reply_body, cost_usd FROM step")
    assert step == {"status": "lost", "reply_body": None, "cost_usd": Decimal("0.5")}
    assert record.rows("SELECT 1 FROM attempt WHERE status = 'passed'") == []
