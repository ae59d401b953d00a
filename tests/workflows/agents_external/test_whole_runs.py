"""Whole runs by each external agent, through the gateway: the tree, the steps, the cost, and what is not believed."""

import json
from decimal import Decimal

import pytest

from adapters.artifacts.store import ObjectArtifactStore
from domain.pipelines.spec import AgentExecutor
from tests.workflows.agents.runs import attempt_of, output_of, steps_of
from tests.workflows.agents_external.works import (
    EXTERNAL,
    FILES,
    PRICED,
    RIGHT,
    VERIFY,
    WITH_TOOLS,
    agent,
    command,
    loop,
    mends,
    model_of,
    say,
    session_of,
    starts_of,
    turns,
    write,
)
from tests.workflows.world import World


@pytest.mark.parametrize("executor", EXTERNAL)
async def test_an_agent_mends_a_repository(fakes: World, executor: AgentExecutor) -> None:
    model = model_of(fakes, turns(*mends(executor)))
    pipeline = await fakes.publish(loop(agent(executor), VERIFY))
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), settings={"model": model})
    assert (run["status"], run["outcome_kind"]) == ("SUCCEEDED", "verified"), run["error"]

    steps = await steps_of(fakes, run)
    calls = [step for step in steps if step["kind"] == "model_call"]
    assert len(calls) == len(mends(executor))
    assert all(call["status"] == "done" and call["model_asked"] == model for call in calls)
    tools = [step for step in steps if step["kind"] == "tool_call"]
    assert [(step["status"], "calc.py" in step["title"]) for step in tools] == [("done", True)]
    (started,) = await starts_of(fakes, run)
    assert (started["status"], started["exit_code"], started["title"]) == ("done", 0, f"{executor}: a new session")

    attempt = await attempt_of(fakes, run)
    assert (attempt["tokens_in"], attempt["tokens_out"]) == (10 * len(calls), 5 * len(calls))
    assert attempt["cost_usd"] == Decimal(0), "the scripted provider's price, whatever the agent claims"
    assert (attempt["model_asked"], attempt["turns"]) == (model, len(calls))
    session = await session_of(fakes, run)
    assert (session["executor"], bool(session["session_id"])) == (executor, True)
    output = await output_of(fakes, run)
    assert "I write it." in output
    assert "private thought" not in output and "private thought" not in attempt["summary"]


async def test_what_an_agent_claims_is_shown_beside_what_was_counted(fakes: World) -> None:
    model = model_of(fakes, turns(*mends(AgentExecutor.CLAUDE_CODE)))
    pipeline = await fakes.publish(loop(agent(AgentExecutor.CLAUDE_CODE), VERIFY))
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), settings={"model": model})
    assert (run["tokens_in"], run["cost_usd"]) == (20, Decimal(0))
    claim = "[claude-code claims 20,000 tokens in and 10,000 out; the gateway counted 20 in and 10 out in 2 calls]"
    assert claim in await output_of(fakes, run)


@pytest.mark.parametrize("executor", WITH_TOOLS)
async def test_tool_calls_are_steps_with_their_ends(fakes: World, executor: AgentExecutor) -> None:
    model = model_of(
        fakes,
        turns(
            command(executor, "echo looking; cat calc.py; exit 3"),
            write(executor, "calc.py", RIGHT),
            say("Done."),
        ),
    )
    pipeline = await fakes.publish(loop(agent(executor), VERIFY))
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), settings={"model": model})
    assert run["outcome_kind"] == "verified", run["error"]
    tools = [step for step in await steps_of(fakes, run) if step["kind"] == "tool_call"]
    assert [step["status"] for step in tools] == ["failed", "done"]
    assert "cat calc.py" in tools[0]["title"]
    assert tools[0]["tail"].splitlines()[0] == "looking"
    assert tools[0]["error"]["kind"] == "command_failed"
    assert (await attempt_of(fakes, run))["summary"] == "Done."


@pytest.mark.parametrize("executor", EXTERNAL)
async def test_no_key_of_a_provider_enters_its_process(fakes: World, executor: AgentExecutor) -> None:
    model = model_of(fakes, turns(*mends(executor)))
    pipeline = await fakes.publish(loop(agent(executor), {**VERIFY, "command": "cat environment.json"}))
    entry = {"task": "Look at it [[fake:environment]]", "settings": {"model": model}}
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), **entry)
    assert run["outcome_kind"] == "verified", run["error"]
    # as the record shows it, and as it was: the tree is read past every redaction
    verified = await attempt_of(fakes, run, "verify")
    where = (run["workspace_id"], run["id"])
    files = await fakes.composition.workspaces.read_files(*where, ["environment.json"], limit_bytes=100_000)
    environment = json.loads(files["environment.json"])
    for value in PRICED.values():
        assert value not in verified["summary"]
        assert value not in environment.values()
    home = environment["HOME"]
    assert home.endswith(f"{run['id']}.agent/{executor}/home")
    tokens = [value for value in environment.values() if value.startswith("sk-")]
    assert len(tokens) == 1, "the gateway's own, worthless now"
    assert tokens[0] not in verified["summary"]


async def test_a_secret_that_the_agent_prints_is_in_no_row(fakes: World) -> None:
    """Its token, once in the middle and once where an excerpt is cut."""
    executor = AgentExecutor.CODEX
    token = "$MILLWRIGHT_GATEWAY_TOKEN"
    print_it = f'echo "the token is {token}"; echo "{token}" | head -c 30; printf "%01960d\\n" 0; echo {token}'
    model = model_of(fakes, turns(command(executor, print_it), *mends(executor)))
    pipeline = await fakes.publish(loop(agent(executor), VERIFY))
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), settings={"model": model})
    assert run["outcome_kind"] == "verified", run["error"]
    tools = [step for step in await steps_of(fakes, run) if step["kind"] == "tool_call"]
    attempt = await attempt_of(fakes, run)
    artifacts = await fakes.rows("SELECT sha256 FROM artifact WHERE run_id = %s AND name = 'output'", run["id"])
    store = ObjectArtifactStore((fakes.folder / "state" / "artifacts").as_uri())
    bodies = [(await store.get(fakes.org_id, row["sha256"])).decode() for row in artifacts]
    everything = [str(tools), str(attempt), await output_of(fakes, run), *bodies]
    assert not any("sk-0" in text for text in everything)
    assert "[redacted]" in tools[0]["tail"]


async def test_commits_of_the_agent_are_tree_content_and_committed_anew(fakes: World) -> None:
    executor = AgentExecutor.CLAUDE_CODE
    model = model_of(fakes, turns(*mends(executor)))
    deliver = {"name": "deliver", "kind": "git", "action": "deliver"}
    document = loop(agent(executor), VERIFY)
    pipeline = await fakes.publish({"phases": [*document["phases"], deliver]})
    entry = {"task": "Mend it [[fake:commit]]", "settings": {"model": model}}
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), **entry)
    assert run["outcome_kind"] == "verified", run["error"]
    facts = (await attempt_of(fakes, run, "deliver"))["commit_facts"]
    assert (facts["files_changed"], facts["insertions"], facts["deletions"]) == (1, 1, 1)
    assert facts["subject"].startswith("Mend it")


async def test_aider_leaves_nothing_of_its_own_in_the_tree(fakes: World) -> None:
    model = model_of(fakes, turns(*mends(AgentExecutor.AIDER)))
    pipeline = await fakes.publish(
        loop(agent(AgentExecutor.AIDER), {**VERIFY, "command": "ls -A; python3 test_calc.py"})
    )
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), settings={"model": model})
    assert run["outcome_kind"] == "verified", run["error"]
    assert ".aider" not in (await attempt_of(fakes, run, "verify"))["summary"]


async def test_the_home_of_an_agent_goes_with_the_worktree_of_its_run(fakes: World) -> None:
    model = model_of(fakes, turns(*mends(AgentExecutor.CODEX)))
    pipeline = await fakes.publish(loop(agent(AgentExecutor.CODEX), VERIFY))
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), settings={"model": model})
    workspaces = fakes.composition.workspaces
    worktree = workspaces.path(run["workspace_id"], run["id"])
    home = worktree.with_name(f"{run['id']}.agent")
    assert (home / "codex" / "home" / ".codex").is_dir()
    assert await workspaces.reclaim(run["workspace_id"], run["id"])
    assert not home.exists() and not worktree.exists()
