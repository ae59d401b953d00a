"""A run that is cancelled, terminated or gone ends in the record too, with nothing left held."""

import asyncio
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle

from tests.workflows.world import World

SLEEP = {"phases": [{"name": "wait", "kind": "command", "command": "echo begun; sleep 60"}]}


async def sleeping(engine: World) -> WorkflowHandle[Any, Any]:
    repo = engine.repository({"a.txt": "a"})
    handle = await engine.start(await engine.publish(SLEEP), repo=str(repo))
    await engine.until(handle, lambda row: row["current_phase"] == "wait")
    return handle


async def nothing_is_held(engine: World) -> None:
    assert await engine.rows("SELECT 1 FROM permit WHERE pool = 'executor'") == []
    assert await engine.rows("SELECT 1 FROM attempt WHERE status IN ('running', 'waiting')") == []
    assert await engine.rows("SELECT 1 FROM execution WHERE status = 'running'") == []
    for run in await engine.rows("SELECT id FROM run"):
        events = await engine.rows("SELECT seq, type FROM run_event WHERE run_id = %s ORDER BY seq", run["id"])
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert events[-1]["type"] in ("run.finished", "request.applied", "request.refused")


async def test_native_cancel(engine: World) -> None:
    handle = await sleeping(engine)
    await handle.cancel()
    run = await engine.end_of(handle)
    assert (run["status"], run["outcome_kind"]) == ("CANCELLED", "cancelled")
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    await nothing_is_held(engine)


async def test_cancel_by_update(engine: World) -> None:
    handle = await sleeping(engine)
    recorded = await handle.execute_update("cancel", {"reason": "enough"})
    assert recorded["status"] in ("recorded", "applied")
    run = await engine.end_of(handle)
    assert run["outcome_kind"] == "cancelled"
    request = await engine.row("SELECT actor, status, payload FROM request WHERE kind = 'cancel'")
    assert request is not None
    assert (request["actor"], request["status"]) == ("temporal (unverified)", "applied")
    await nothing_is_held(engine)


async def test_a_bad_signal_is_recorded_as_refused(engine: World) -> None:
    handle = await sleeping(engine)
    await handle.signal("cancel", 5)
    await engine.until(handle, lambda row: row["event_seq"] >= 4)
    refused = await engine.row("SELECT problem FROM request WHERE status = 'refused'")
    assert refused is not None
    assert "cancel signal is not valid" in refused["problem"]
    await handle.signal("cancel", {"reason": "now"})
    assert (await engine.end_of(handle))["outcome_kind"] == "cancelled"


async def test_a_terminated_workflow_is_closed_by_the_reconciler(engine: World) -> None:
    handle = await sleeping(engine)
    await handle.terminate(reason="by hand")
    await engine.reconciler().look_once()
    run = await engine.end_of(handle)
    assert (run["status"], run["outcome_kind"]) == ("CANCELLED", "cancelled")
    told = run["error"]["message"]
    assert told.startswith("Its workflow was terminated in Temporal by ")
    assert told.endswith(": by hand.")
    [execution] = await engine.rows("SELECT status, error FROM execution WHERE run_id = %s", run["id"])
    assert (execution["status"], execution["error"]["message"]) == ("lost", told)


async def test_a_workflow_that_is_gone_is_closed_as_orphaned(engine: World) -> None:
    handle = await sleeping(engine)
    await handle.terminate("by hand")
    statement = "UPDATE {} SET workflow_id = 'never-was' WHERE workflow_id = %s RETURNING 1"
    for table in ("run", "open_run"):
        await engine.rows(statement.format(table), handle.id)
    await engine.reconciler().look_once()
    run = await engine.row("SELECT status, outcome_kind, error FROM run WHERE workflow_id = 'never-was'")
    assert run is not None
    assert (run["status"], run["outcome_kind"]) == ("FAILED", "orphaned")
    assert run["error"]["hint"]


async def test_an_update_is_answered_while_every_phase_slot_is_taken(busy_engine: World) -> None:
    engine = busy_engine
    first = await sleeping(engine)
    others = [await engine.start(await engine.publish(SLEEP), repo=str(engine.repositories[0])) for _ in range(12)]
    await engine.until(others[-1], lambda row: row is not None)
    async with asyncio.timeout(10):
        recorded = await first.execute_update("cancel", {})
    assert recorded["status"] in ("recorded", "applied")
    for handle in others:
        await handle.execute_update("cancel", {})
    for handle in (first, *others):
        assert (await engine.end_of(handle))["outcome_kind"] == "cancelled"
    await nothing_is_held(engine)
