"""Turns of agents: all of a checkpoint or nothing, in order, and only by the execution that holds the attempt."""

import hashlib
from decimal import Decimal

from adapters.store.agents import PostgresAgentRecord
from adapters.store.views import PostgresViews
from domain.agents.ports import AgentCheckpoint, AgentSession, EndedStep, StoredSegment
from domain.runs.messages import PhaseInput
from domain.runs.ports import ArtifactRef, Began, StepEnd, StepStart
from domain.runs.words import StepKind, StepStatus
from tests.adapters.store.record import Record


def agents(record: Record) -> PostgresAgentRecord:
    return PostgresAgentRecord(record.database, record.told.append)


def checkpoint(number: int, *, turn: int = 0, tree: str = "t" * 40, **more: object) -> AgentCheckpoint:
    body = f'{{"number": {number}}}'
    segment = StoredSegment(
        number=number,
        turn=turn,
        tree=tree,
        sha256=hashlib.sha256(body.encode()).hexdigest(),
        size_bytes=len(body),
        body=body,
    )
    return AgentCheckpoint.model_validate({"segment": segment, **more})


async def agent_turn(record: Record, phase: PhaseInput, began: Began) -> None:
    assert await agents(record).checkpoint(phase.key, began.lease, checkpoint(0))
    session = AgentSession(executor="codex", session_id="s-1")
    assert await agents(record).keep_session(phase.key, began.lease, session)


async def test_a_checkpoint_is_found_again_with_its_step_its_pack_and_its_output(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    store = agents(record)
    step = StepStart(key="turn#1/1", kind=StepKind.TOOL_CALL, title="write_file a.py")
    await record.phases.start_step(phase.key, began.lease, step)
    pack = ArtifactRef(sha256="b" * 64, size_bytes=3, name=f"pack:{'t' * 40}..{'u' * 40}")
    await store.checkpoint(phase.key, began.lease, checkpoint(0))
    ended = EndedStep(key=step.key, end=StepEnd(status=StepStatus.DONE, tail="written"))
    second = checkpoint(
        1, turn=1, tree="u" * 40, artifacts=(pack,), ended=ended, output="I wrote it\n", output_sequence=1
    )
    assert await store.checkpoint(phase.key, began.lease, second)
    assert await store.checkpoint(phase.key, began.lease, second), "the same checkpoint may be said twice"

    opened = await store.open(phase.key, began.lease)
    assert [(one.number, one.turn, one.tree) for one in opened.segments] == [(0, 0, "t" * 40), (1, 1, "u" * 40)]
    assert opened.segments[1].body == second.segment.body
    (row,) = record.rows("SELECT status, tail FROM step WHERE run_id = %s", state.run_id)
    assert (row["status"], row["tail"]) == ("done", "written")
    (stored,) = record.rows("SELECT name FROM artifact WHERE run_id = %s", state.run_id)
    assert stored["name"] == pack.name
    (chunk,) = record.rows("SELECT text FROM output_chunk WHERE run_id = %s", state.run_id)
    assert chunk["text"] == "I wrote it\n"
    (attempt,) = record.rows("SELECT turns FROM attempt WHERE run_id = %s", state.run_id)
    assert attempt["turns"] == 1


async def test_the_view_of_a_run_says_how_many_turns_an_agent_took(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    for number in range(3):
        assert await agents(record).checkpoint(phase.key, began.lease, checkpoint(number, turn=number))
    view = await PostgresViews(record.database).run(record.org_id, state.run_id)
    assert view.phases[0].newest.turns == 2


async def test_a_late_writer_writes_nothing(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    first = await record.begun(phase)
    store = agents(record)
    assert await store.checkpoint(phase.key, first.lease, checkpoint(0))
    second = await record.begun(phase, worker="worker-2")
    late = checkpoint(1, turn=1, tree="v" * 40, artifacts=(ArtifactRef(sha256="c" * 64, size_bytes=1, name="pack"),))
    assert not await store.checkpoint(phase.key, first.lease, late)
    assert not await store.keep_session(phase.key, first.lease, AgentSession(executor="codex", session_id="late"))
    opened = await store.open(phase.key, second.lease)
    assert [one.number for one in opened.segments] == [0]
    assert record.rows("SELECT 1 FROM artifact WHERE run_id = %s", state.run_id) == []
    assert await store.session(phase.key, second.lease) is None
    assert await store.checkpoint(phase.key, second.lease, checkpoint(1, turn=1))


async def test_another_segment_of_the_same_number_is_refused(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    assert await agents(record).checkpoint(phase.key, began.lease, checkpoint(0))
    other = checkpoint(0)
    other = other.model_copy(update={"segment": other.segment.model_copy(update={"sha256": "d" * 64})})
    assert not await agents(record).checkpoint(phase.key, began.lease, other)


async def test_the_newest_session_counts(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    store = agents(record)
    for name in ("one", "two"):
        await store.keep_session(phase.key, began.lease, AgentSession(executor="codex", session_id=name))
    found = await store.session(phase.key, began.lease)
    assert found is not None and found.session_id == "two"


async def test_answered_calls_come_along_with_what_they_used(record: Record) -> None:
    state = await record.opened()
    phase = record.phase(state.run_id)
    began = await record.begun(phase)
    for key, status, tokens in (("turn#1", "done", 5), ("turn#2", "lost", None), ("turn#3", "failed", 7)):
        record.rows(
            "INSERT INTO step (id, org_id, run_id, attempt_id, execution_id, key, kind, title, effect, status,"
            " started_at, tokens_in, tokens_out, cost_usd) VALUES (gen_random_uuid(), %s, %s, %s, %s, %s,"
            " 'model_call', 'x', 'none', %s, clock_timestamp(), %s, 1, 0.5) RETURNING 1",
            record.org_id,
            state.run_id,
            began.lease.attempt_id,
            began.lease.execution_id,
            key,
            status,
            tokens,
        )
    opened = await agents(record).open(phase.key, began.lease)
    assert [(call.step_key, call.cost.tokens) for call in opened.calls] == [("turn#1", 6), ("turn#3", 8)]
    assert opened.calls[0].cost.cost_usd == Decimal("0.5")
    record.rows("UPDATE step SET cost_usd = NULL WHERE run_id = %s RETURNING 1", state.run_id)
    assert (await agents(record).open(phase.key, began.lease)).unknown_calls == 1, "the lost one"
