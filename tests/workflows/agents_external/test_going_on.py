"""An external agent goes on with its session in the next iteration, and begins anew where it does not know it."""

import pytest

from domain.pipelines.spec import AgentExecutor
from tests.workflows.agents_external.works import (
    EXTERNAL,
    FILES,
    RIGHT,
    VERIFY,
    WRONG,
    agent,
    heard,
    loop,
    mends,
    model_of,
    session_of,
    starts_of,
    turns,
    turns_from,
)
from tests.workflows.world import World


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
