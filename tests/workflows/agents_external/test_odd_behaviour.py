"""External agents that misbehave: each ends bounded, with its kind, its excerpt and the way out, and leaves nothing."""

import os
from typing import Any

import pytest

from adapters.sandbox import proctree
from domain.pipelines.spec import AgentExecutor
from tests.workflows.agents.runs import attempt_of, output_of, steps_of
from tests.workflows.agents_external.works import (
    EXTERNAL,
    FILES,
    VERIFY,
    WITH_TOOLS,
    agent,
    command,
    loop,
    mends,
    model_of,
    rewrite,
    say,
    session_of,
    starts_of,
    turns,
    wait_for,
)
from tests.workflows.world import World

CLAUDE = AgentExecutor.CLAUDE_CODE


async def work(fakes: World, executor: AgentExecutor, mark: str, iterations: int = 1, **more: Any) -> dict[str, Any]:
    """A run of one agent with the mark in its task."""
    model = model_of(fakes, turns(*mends(executor)))
    pipeline = await fakes.publish(loop(agent(executor, **more), VERIFY, iterations=iterations))
    task = f"Mend it [[fake:{mark}]]"
    return await fakes.run(pipeline, repo=str(fakes.repository(FILES)), task=task, settings={"model": model})


def living(run: dict[str, Any]) -> list[int]:
    """Processes that still work in the run's folders, by their command line."""
    found = []
    for process in proctree.everyone().values():
        try:
            with open(f"/proc/{process.pid}/cmdline", "rb") as file:  # noqa: PTH123 - it may be gone
                if str(run["id"]).encode() in file.read() and process.pid != os.getpid():
                    found.append(process.pid)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("executor", EXTERNAL)
async def test_any_cut_and_unknown_events_change_nothing(fakes: World, executor: AgentExecutor) -> None:
    run = await work(fakes, executor, "odd-events-byte-by-byte")
    assert run["outcome_kind"] == "verified", run["error"]
    tools = [step for step in await steps_of(fakes, run) if step["kind"] == "tool_call"]
    assert [step["status"] for step in tools] == ["done"]
    if executor is not AgentExecutor.AIDER:
        told = (await output_of(fakes, run)).partition("[events of types that are not known: ")[2].partition("]")[0]
        assert "event.of.tomorrow x" in told and "(no JSON) x" in told


@pytest.mark.parametrize("executor", EXTERNAL)
async def test_a_stream_that_is_cut_off_is_no_success(fakes: World, executor: AgentExecutor) -> None:
    """It exits with 0, but never says that its turn is over."""
    run = await work(fakes, executor, "cut-off")
    attempt = await attempt_of(fakes, run)
    assert (attempt["status"], attempt["error"]["kind"]) == ("failed", "invalid_output")
    assert attempt["error"]["message"].startswith(f"{executor} ended without saying that its turn is over")
    assert attempt["error"]["excerpt"]
    assert attempt["tree_after"] == attempt["tree_before"]


async def test_one_that_says_nothing_at_all(fakes: World) -> None:
    run = await work(fakes, CLAUDE, "no-result-at-all")
    error = (await attempt_of(fakes, run))["error"]
    assert error["kind"] == "invalid_output"
    assert "[claude-code made no call through the gateway]" in await output_of(fakes, run)


@pytest.mark.parametrize("executor", WITH_TOOLS)
async def test_a_failing_exit_shows_its_last_words(fakes: World, executor: AgentExecutor) -> None:
    run = await work(fakes, executor, "exit-1")
    attempt = await attempt_of(fakes, run)
    assert (attempt["error"]["kind"], attempt["exit_code"]) == ("command_failed", 1)
    assert attempt["error"]["message"] == f"{executor} ended with exit code 1."
    assert attempt["error"]["excerpt"] == "fatal: the disk of the agent is upside down"
    (started,) = await starts_of(fakes, run)
    assert (started["status"], started["exit_code"]) == ("failed", 1)
    assert attempt["tokens_in"] == 10, "the call that it made was paid"


async def test_one_that_is_killed_says_by_which_signal(fakes: World) -> None:
    run = await work(fakes, CLAUDE, "kill-me")
    error = (await attempt_of(fakes, run))["error"]
    assert (error["kind"], error["message"]) == ("command_failed", "claude-code was ended by SIGKILL.")


async def test_one_that_hangs_is_a_stall_with_what_it_did_last(fakes: World) -> None:
    run = await work(fakes, CLAUDE, "hang", stall_seconds=2)
    attempt = await attempt_of(fakes, run)
    assert attempt["error"]["kind"] == "stalled"
    assert "> Write: calc.py" in attempt["error"]["excerpt"]
    assert living(run) == []


async def test_a_time_limit_ends_one_that_ignores_the_signal(fakes: World) -> None:
    run = await work(fakes, CLAUDE, "deaf", time_limit_seconds=3)
    assert (await attempt_of(fakes, run))["error"]["kind"] == "time_limit"
    assert living(run) == []


async def test_a_cancel_ends_one_that_ignores_the_signal(fakes: World) -> None:
    model = model_of(fakes, turns(*mends(CLAUDE)))
    pipeline = await fakes.publish(loop(agent(CLAUDE), VERIFY))
    repo = str(fakes.repository(FILES))
    handle = await fakes.start(pipeline, repo=repo, task="Mend it [[fake:deaf]]", settings={"model": model})

    async def wrote() -> bool:
        rows = await fakes.rows(
            "SELECT 1 FROM step s JOIN run r ON r.id = s.run_id WHERE r.workflow_id = %s AND s.kind = 'tool_call'"
            " AND s.status = 'done'",
            handle.id,
        )
        return bool(rows)

    await fakes.until(handle, lambda row: row["status"] == "RUNNING")
    await wait_for(wrote)
    await handle.cancel()
    run = await fakes.end_of(handle)
    assert (run["status"], run["outcome_kind"]) == ("CANCELLED", "cancelled")
    assert living(run) == []


@pytest.mark.parametrize("executor", EXTERNAL)
async def test_one_that_is_not_installed(fakes: World, executor: AgentExecutor) -> None:
    name = {"claude-code": "claude"}.get(executor.value, executor.value)
    program = fakes.folder / "bin" / name
    away = program.rename(program.with_name(f"{name}-away"))
    run = await work(fakes, executor, "none")
    away.rename(program)
    assert run["outcome_kind"] == "phase_error"
    error = (await attempt_of(fakes, run))["error"]
    assert error["kind"] == "plugin"
    assert f"there is no program `{name}`" in error["message"]
    assert "Install it where the worker runs" in error["hint"]


async def test_a_flood_of_events_is_shown_within_bounds(fakes: World) -> None:
    run = await work(fakes, CLAUDE, "flood")
    assert run["outcome_kind"] == "verified", run["error"]
    output = await output_of(fakes, run)
    assert "events were counted and not kept" in output
    assert len(output) < 700_000


async def test_a_call_in_flight_is_no_stall(fakes: World) -> None:
    executor = AgentExecutor.CODEX
    slow = [{**reply, "delay_seconds": 4} for reply in mends(executor)]
    pipeline = await fakes.publish(loop(agent(executor, stall_seconds=1.5), VERIFY))
    model = model_of(fakes, turns(*slow))
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), settings={"model": model})
    assert run["outcome_kind"] == "verified", run["error"]


async def test_out_of_turns_it_is_stuck(fakes: World) -> None:
    model = model_of(fakes, turns(*mends(CLAUDE)[:1] * 9))
    pipeline = await fakes.publish(loop(agent(CLAUDE, max_turns=3), VERIFY))
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), settings={"model": model})
    assert run["outcome_kind"] == "stuck", run["error"]
    attempt = await attempt_of(fakes, run)
    assert attempt["error"]["message"] == "claude-code used all of its 3 calls and did not finish."
    assert len([step for step in await steps_of(fakes, run) if step["kind"] == "model_call"]) == 3
    assert living(run) == []


async def test_out_of_tokens_the_budget_is_exceeded(fakes: World) -> None:
    model = model_of(fakes, turns(*mends(CLAUDE)[:1] * 9))
    pipeline = await fakes.publish(loop(agent(CLAUDE, max_tokens=30), VERIFY))
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), settings={"model": model})
    assert run["outcome_kind"] == "budget_exceeded", run["error"]
    assert (await attempt_of(fakes, run))["tokens_in"] == 20


@pytest.mark.parametrize("executor", EXTERNAL)
async def test_a_model_outside_the_policy_is_refused_by_its_name(fakes: World, executor: AgentExecutor) -> None:
    pipeline = await fakes.publish(loop(agent(executor, model="openai:gpt-5-mini"), VERIFY))
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)))
    attempt = await attempt_of(fakes, run)
    assert (run["outcome_kind"], attempt["error"]["kind"]) == ("policy_blocked", "policy_blocked")
    assert "openai" in attempt["error"]["message"]
    assert not [step for step in await steps_of(fakes, run) if step["kind"] == "model_call"]


async def test_what_the_provider_says_is_the_cause(fakes: World) -> None:
    failing = {"role": "coder", "error": {"kind": "authentication", "message": "that key is revoked"}}
    pipeline = await fakes.publish(loop(agent(AgentExecutor.CODEX), VERIFY))
    settings = {"model": model_of(fakes, failing)}
    run = await fakes.run(pipeline, repo=str(fakes.repository(FILES)), settings=settings)
    error = (await attempt_of(fakes, run))["error"]
    assert error["kind"] == "authentication"
    assert "that key is revoked" in error["message"]


async def test_a_rate_limit_makes_the_phase_wait_and_go_on_with_its_session(fakes: World) -> None:
    """The first call is answered, the second refused once: the phase gives its slot back, then goes on."""
    executor = AgentExecutor.CLAUDE_CODE
    wrote, _ = mends(executor)
    limited = {"error": {"kind": "rate_limited", "message": "slow down", "retry_after_seconds": 1}}
    model = model_of(fakes, turns(wrote, limited))
    pipeline = await fakes.publish(loop(agent(executor), VERIFY))
    handle = await fakes.start(pipeline, repo=str(fakes.repository(FILES)), settings={"model": model})
    await fakes.until(handle, lambda row: row["waiting_reason"] == "rate_limit")
    rewrite(model, {"role": "coder", **say("Done.")})
    run = await fakes.end_of(handle)
    assert run["outcome_kind"] == "verified", run["error"]
    assert (await session_of(fakes, run))["session_id"]
    assert "goes on with session" in await output_of(fakes, run)


async def test_caps_hold_over_all_executions_of_an_attempt(fakes: World) -> None:
    """One call, then the provider is overloaded: the next execution has one call left of two."""
    wrote, _ = mends(CLAUDE)
    model = model_of(fakes, turns(wrote, {"error": "overloaded"}))
    pipeline = await fakes.publish(loop(agent(CLAUDE, max_turns=2), VERIFY))
    handle = await fakes.start(pipeline, repo=str(fakes.repository(FILES)), settings={"model": model})

    async def failed() -> bool:
        rows = await fakes.rows(
            "SELECT 1 FROM execution e JOIN run r ON r.id = e.run_id WHERE r.workflow_id = %s AND e.status = 'failed'",
            handle.id,
        )
        return bool(rows)

    await wait_for(failed)
    rewrite(model, {"role": "coder", **command(CLAUDE, "true")})
    run = await fakes.end_of(handle)
    assert run["outcome_kind"] == "stuck", run["error"]
    assert run["error"]["message"] == "implement failed: claude-code used all of its 2 calls and did not finish."
    done = [step for step in await steps_of(fakes, run) if (step["kind"], step["status"]) == ("model_call", "done")]
    assert len(done) == 2
