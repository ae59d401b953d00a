"""An external agent whose worker was lost goes on: from its checkpoint, or anew where its memory is not.

Each engine here is the only one while it lives: all workers listen on one task queue.
"""

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from cli.stack.temporal import TemporalServer
from domain.pipelines.spec import AgentExecutor
from tests.campaigns.agent_kill import worker_process
from tests.support.databases import Database
from tests.workflows.agents.runs import attempt_of, output_of
from tests.workflows.agents_external.works import (
    FILES,
    VERIFY,
    WITH_TOOLS,
    WRONG,
    agent,
    command,
    heard,
    loop,
    mends,
    model_of,
    path_with_fakes,
    rewrite,
    say,
    starts_of,
    turns,
    turns_from,
    wait_for,
    write,
)
from tests.workflows.world import World, world


def interrupted(executor: AgentExecutor) -> list[dict[str, Any]]:
    """It writes the wrong thing, late enough for a checkpoint, and then waits for an answer."""
    late = {**say("late"), "delay_seconds": 60}
    return [command(executor, "sleep 2.1"), write(executor, "calc.py", WRONG), late]


async def _until_checkpoint(made: World, handle_id: str) -> dict[str, Any]:
    """The agent has written its file, and a checkpoint with it is recorded."""
    found: list[dict[str, Any]] = []

    async def checkpointed() -> bool:
        found[:] = await made.rows(
            "SELECT s.* FROM agent_session s JOIN attempt a ON a.id = s.attempt_id JOIN run r ON r.id = a.run_id"
            " WHERE r.workflow_id = %s AND s.data ? 'tool'",
            handle_id,
        )
        return bool(found)

    await wait_for(checkpointed)
    return found[0]


@pytest.mark.parametrize("executor", WITH_TOOLS)
async def test_after_its_worker_was_lost_it_goes_on_from_its_checkpoint(
    database: Database, temporal_server: TemporalServer, tmp_path: Path, executor: AgentExecutor
) -> None:
    """The first worker ends while the agent waits for an answer; the second goes on with session and tree."""
    environment = path_with_fakes(tmp_path / "bin")
    async with world(database, temporal_server.address, tmp_path, environment=environment) as first:
        begun = [
            command(executor, "sleep 2.1"),
            write(executor, "calc.py", WRONG),
            {**say("late"), "delay_seconds": 60},
        ]
        model = model_of(first, turns(*begun))
        pipeline = await first.publish(loop(agent(executor), VERIFY))
        entry = {"task": "Mend the sum, please", "settings": {"model": model}}
        handle = await first.start(pipeline, repo=str(first.repository(FILES)), **entry)
        session = await _until_checkpoint(first, handle.id)
    async with world(database, temporal_server.address, tmp_path, environment=environment) as second:
        rewrite(model, *turns_from(3, command(executor, "cat calc.py"), *mends(executor)))
        run = await second.end_of(second.client.get_workflow_handle(handle.id))
        assert run["outcome_kind"] == "verified", run["error"]["message"]
        starts = await starts_of(second, run)
        assert starts[0]["status"] == "failed"
        assert starts[-1]["title"].startswith(f"{executor}: goes on with session {session['session_id']} after an")
        conversation = heard(second, run, executor)
        assert conversation.count("Mend the sum, please") == 1
        assert "You were interrupted by a restart" in conversation
        looked = await second.rows(
            "SELECT tail FROM step WHERE run_id = %s AND kind = 'tool_call' AND title LIKE '%%cat calc.py'", run["id"]
        )
        assert looked[0]["tail"].splitlines() == WRONG.splitlines(), "the tree was as its memory has it"
        assert (await attempt_of(second, run))["executions"] == 2


async def test_on_a_worker_with_another_state_folder_it_begins_anew(
    database: Database, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """Its memory lies in its HOME on the first worker; neither tree nor conversation are half there."""
    executor = AgentExecutor.CODEX
    environment, artifacts = path_with_fakes(tmp_path / "bin"), (tmp_path / "shared").as_uri()
    given = {"environment": environment, "MILLWRIGHT_ARTIFACT_URL": artifacts}
    async with world(database, temporal_server.address, tmp_path, **given) as first:
        begun = [
            command(executor, "sleep 2.1"),
            write(executor, "calc.py", WRONG),
            {**say("late"), "delay_seconds": 60},
        ]
        model = model_of(first, turns(*begun))
        pipeline = await first.publish(loop(agent(executor), VERIFY))
        handle = await first.start(pipeline, repo=str(first.repository(FILES)), settings={"model": model})
        await _until_checkpoint(first, handle.id)
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "second").mkdir()
    async with world(database, temporal_server.address, tmp_path / "second", **given) as second:
        rewrite(model, turns(*mends(executor)))
        run = await second.end_of(second.client.get_workflow_handle(handle.id))
        assert run["outcome_kind"] == "verified", run["error"]["message"]
        assert (await starts_of(second, run))[-1][
            "title"
        ] == "codex: a new session: the earlier one lies on another worker"
        assert "a new session" in await output_of(second, run)


async def test_a_killed_worker_leaves_no_agent_and_the_next_goes_on(
    database: Database, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """SIGKILL while the agent waits for an answer; another process with the same state folder takes over."""
    executor = AgentExecutor.CLAUDE_CODE
    path = path_with_fakes(tmp_path / "bin")["PATH"]
    given = (database, temporal_server.address, tmp_path, tmp_path / "state")
    one, two = (worker_process(name, *given, PATH=path) for name in ("one", "two"))
    async with world(database, temporal_server.address, tmp_path, serving=False) as made:
        try:
            await one.start()
            model = model_of(made, turns(*interrupted(executor)))
            pipeline = await made.publish(loop(agent(executor), VERIFY))
            handle = await made.start(pipeline, repo=str(made.repository(FILES)), settings={"model": model})
            session = await _until_checkpoint(made, handle.id)
            rewrite(model, *turns_from(3, command(executor, "cat calc.py"), *mends(executor)))
            one.signal(signal.SIGKILL)
            await two.start()
            run = await made.end_of(handle)
        finally:
            one.stop()
            two.stop()
        assert run["outcome_kind"] == "verified", run["error"]
        starts = await starts_of(made, run)
        assert [start["status"] for start in starts] == ["lost", "done"]
        assert session["session_id"] in starts[1]["title"]
        calls = await made.rows(
            "SELECT status, cost_usd FROM step WHERE run_id = %s AND kind = 'model_call' ORDER BY started_at", run["id"]
        )
        assert [call["status"] for call in calls] == ["done", "done", "lost", "done", "done", "done"]
        assert calls[2]["cost_usd"] is None, "the call in flight may have been paid"
