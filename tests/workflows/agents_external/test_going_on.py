"""An external agent goes on where it was: in the next iteration, after its worker was lost, and where it cannot."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from cli.stack.temporal import TemporalServer
from domain.pipelines.spec import AgentExecutor
from tests.support.databases import Database
from tests.workflows.agents.runs import attempt_of, output_of
from tests.workflows.agents_external.works import (
    EXTERNAL,
    FILES,
    RIGHT,
    VERIFY,
    WITH_TOOLS,
    WRONG,
    agent,
    command,
    loop,
    mends,
    model_of,
    path_with_fakes,
    rewrite,
    say,
    session_of,
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


def heard(world: World, run: dict[str, Any], executor: AgentExecutor) -> str:
    """The conversation as the agent has it on disk."""
    home = world.composition.workspaces.path(run["workspace_id"], run["id"]).with_name(f"{run['id']}.agent") / executor
    files = sorted(file for file in (home / "home").rglob("*") if file.is_file() and "stderr" not in file.name)
    return "\n".join(file.read_text() for file in files)


@pytest.mark.parametrize("executor", EXTERNAL)
async def test_the_next_iteration_is_the_same_conversation_with_what_failed(
    fakes: World, executor: AgentExecutor
) -> None:
    wrong, right = mends(executor, WRONG), mends(executor, RIGHT)
    first = 1 if executor is AgentExecutor.AIDER else len(wrong) + 1  # aider's history is one message
    model = model_of(fakes, turns(*wrong, iteration=1), *turns_from(first, *right, iteration=2))
    pipeline = await fakes.publish(loop(agent(executor), VERIFY))
    entry = {"task": "Mend the sum, please", "settings": {"model": model}}
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), **entry)
    assert run["outcome_kind"] == "verified", run["error"]["message"]

    first, second = await starts_of(fakes, run)
    session = (await session_of(fakes, run))["session_id"]
    assert first["title"] == f"{executor}: a new session"
    assert second["title"] == f"{executor}: goes on with session {session}"
    conversation = heard(fakes, run, executor)
    assert conversation.count("Mend the sum, please") == 1, "the task was said once"
    assert "AssertionError" in conversation, "the verification's output was said"
    assert "The working tree is as you left it" in conversation


async def test_feedback_and_a_failed_attempt_reach_the_conversation(fakes: World) -> None:
    """An attempt that failed leaves no tree; the agent is told so."""
    executor = AgentExecutor.CODEX
    model = model_of(fakes, turns(*mends(executor), iteration=1), *turns_from(2, *mends(executor), iteration=2))
    pipeline = await fakes.publish(loop(agent(executor), VERIFY))
    entry = {"task": "Mend it [[fake:exit-1]]", "settings": {"model": model}}
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), **entry)
    assert run["outcome_kind"] == "verified", run["error"]["message"]
    assert "Your last changes were not kept" in heard(fakes, run, executor)
    assert "codex ended with exit code 1." in heard(fakes, run, executor)


async def test_a_session_that_the_agent_does_not_know_is_begun_anew_with_the_whole_task(fakes: World) -> None:
    executor = AgentExecutor.CLAUDE_CODE
    wrong, right = mends(executor, WRONG), mends(executor, RIGHT)
    model = model_of(fakes, turns(*wrong, iteration=1), turns(*right, iteration=2))
    pipeline = await fakes.publish(loop(agent(executor), VERIFY))
    entry = {"task": "Mend it [[fake:forget]]", "settings": {"model": model}}
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), **entry)
    assert run["outcome_kind"] == "verified", run["error"]["message"]
    titles = [start["title"] for start in await starts_of(fakes, run)]
    assert titles[0] == "claude-code: a new session"
    assert titles[1].startswith("claude-code: goes on with session")
    assert titles[2] == "claude-code: a new session: the agent does not know the earlier one"


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
