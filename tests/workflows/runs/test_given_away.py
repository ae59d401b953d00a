"""Temporal gives a phase's work away while its worker still runs it: the run goes on, nothing is cancelled."""

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetActivityRequest

from tests.workflows.runs.test_ending import nothing_is_held
from tests.workflows.world import World

SLOW = {"phases": [{"name": "wait", "kind": "command", "command": "echo begun; sleep 4"}]}


async def test_a_reset_activity_is_run_again(engine: World) -> None:
    """As when a worker was stopped past its heartbeat timeout and wakes up: its execution is told to end, and is
    neither a failure of the phase nor a cancel of the run."""
    repo = engine.repository({"a.txt": "a"})
    handle = await engine.start(await engine.publish(SLOW), repo=str(repo))
    await engine.until(handle, lambda row: row["current_phase"] == "wait")
    (pending,) = (await handle.describe()).raw_description.pending_activities
    await engine.client.workflow_service.reset_activity(
        ResetActivityRequest(
            namespace=engine.client.namespace,
            execution=WorkflowExecution(workflow_id=handle.id),
            id=pending.activity_id,
        )
    )
    run = await engine.end_of(handle)
    assert run["outcome_kind"] == "completed", run["error"]
    executions = await engine.rows("SELECT status FROM execution ORDER BY number")
    assert [row["status"] for row in executions] == ["lost", "done"]
    await nothing_is_held(engine)
