"""Every outcome of a run is reached for real (rejected and provider_unavailable come with what can cause them)."""

from collections.abc import Mapping
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from tests.workflows.world import World

TEXT = {"name": "ask", "kind": "model", "role": "planner", "prompt": "Say it."}
IMPLEMENT = {"name": "implement", "kind": "model", "prompt": "Do it.", "output": "files"}
VERIFY = {"name": "verify", "kind": "command", "command": "sh ./check.sh", "verifies": True}
CHECK = 'grep -q good state.txt || { echo "expected good, got $(cat state.txt)"; exit 1; }\n'


def wrote(text: str, turn: int | str = "*") -> Mapping[str, Any]:
    return {"role": "coder", "turn": turn, "files": {"state.txt": text}}


def loop(*phases: Mapping[str, Any], **limits: Any) -> dict[str, Any]:
    return {"phases": [{"loop": {"phases": list(phases), **limits}}]}


async def coded(engine: World, pipeline: Mapping[str, Any], *replies: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    repo = engine.repository({"check.sh": CHECK, "state.txt": "bad\n"})
    usage = more.pop("usage", {"tokens_in": 10, "tokens_out": 5})
    settings = {"model": engine.script(*replies, usage=usage), **more}
    return await engine.run(await engine.publish(pipeline), repo=str(repo), settings=settings)


async def test_completed_without_a_verification(engine: World) -> None:
    pipeline = await engine.publish({"needs_workspace": False, "phases": [TEXT]})
    run = await engine.run(pipeline, settings={"model": engine.script({"text": "said"})})
    assert (run["status"], run["outcome_kind"], run["error"]) == ("SUCCEEDED", "completed", None)


async def test_verified_in_the_second_iteration(engine: World) -> None:
    run = await coded(engine, loop(IMPLEMENT, VERIFY), wrote("worse\n", 1), wrote("good\n", 2))
    assert (run["status"], run["outcome_kind"], run["iterations"]) == ("SUCCEEDED", "verified", 2)
    attempts = await engine.rows("SELECT phase, iteration, status, exit_code FROM attempt ORDER BY finished_at")
    assert [(a["phase"], a["iteration"], a["status"]) for a in attempts] == [
        ("implement", 1, "passed"),
        ("verify", 1, "failed"),
        ("implement", 2, "passed"),
        ("verify", 2, "passed"),
    ]
    assert (run["tokens_in"], run["tokens_out"]) == (20, 10)


async def test_the_failure_reaches_the_next_prompt(engine: World) -> None:
    seen = IMPLEMENT | {"prompt": "{% for e in earlier %}{{ e.phase }}: {{ e.summary }}{% endfor %}"}
    repo = engine.repository({"check.sh": CHECK, "state.txt": "bad\n"})
    settings = {"model": engine.script(wrote("worse\n", 1), wrote("good\n", 2))}
    await engine.run(await engine.publish(loop(seen, VERIFY)), repo=str(repo), settings=settings)
    verify = await engine.row("SELECT summary FROM attempt WHERE phase = 'verify' AND iteration = 1")
    assert verify is not None
    assert "expected good, got worse" in verify["summary"]


async def test_max_iterations(engine: World) -> None:
    replies = [wrote(f"worse {word}\n", turn) for turn, word in enumerate("ab", 1)]
    run = await coded(engine, loop(IMPLEMENT, VERIFY, max_iterations=2), *replies)
    assert run["outcome_kind"] == "max_iterations"
    assert "expected good, got worse b" in run["error"]["excerpt"]


async def test_max_consecutive_failures(engine: World) -> None:
    same = VERIFY | {"command": "echo always the same; exit 1"}
    replies = [wrote(f"worse {word}\n", turn) for turn, word in enumerate("abcde", 1)]
    run = await coded(engine, loop(IMPLEMENT, same), *replies)
    assert (run["outcome_kind"], run["outcome_detail"], run["iterations"]) == ("max_consecutive_failures", "verify", 3)
    assert run["error"]["message"] and run["error"]["excerpt"] and run["error"]["hint"]


async def test_max_failures_of_unequal_ones(engine: World) -> None:
    replies = [wrote(f"worse {word}\n", turn) for turn, word in enumerate("abcde", 1)]
    run = await coded(engine, loop(IMPLEMENT, VERIFY | {"max_failures": 2}), *replies)
    assert (run["outcome_kind"], run["outcome_detail"], run["iterations"]) == ("max_failures", "verify", 2)


async def test_stuck_when_the_same_change_comes_again(engine: World) -> None:
    run = await coded(engine, loop(IMPLEMENT, VERIFY), wrote("worse\n"))
    assert (run["outcome_kind"], run["outcome_detail"], run["iterations"]) == ("stuck", "implement", 2)


async def test_budget_of_tokens(engine: World) -> None:
    replies = [wrote(f"worse {word}\n", turn) for turn, word in enumerate("abcde", 1)]
    usage = {"tokens_in": 30_000, "tokens_out": 5}
    run = await coded(engine, loop(IMPLEMENT, VERIFY), *replies, usage=usage, limits={"tokens": 40_000})
    assert (run["outcome_kind"], run["outcome_detail"]) == ("budget_exceeded", "tokens")


async def test_budget_of_time(engine: World) -> None:
    slow = VERIFY | {"command": "sleep 2"}
    run = await coded(engine, loop(slow | {"name": "wait", "verifies": False}, VERIFY), limits={"time_seconds": 1.0})
    assert (run["outcome_kind"], run["outcome_detail"]) == ("budget_exceeded", "time")


async def test_budget_of_cost(engine: World) -> None:
    replies = [wrote(f"worse {word}\n", turn) for turn, word in enumerate("abcde", 1)]
    usage = {"tokens_in": 10, "tokens_out": 5, "billed_usd": "0.60"}
    run = await coded(engine, loop(IMPLEMENT, VERIFY), *replies, usage=usage, limits={"cost_usd": "1.00"})
    assert (run["outcome_kind"], run["outcome_detail"]) == ("budget_exceeded", "cost")


async def test_policy_blocked(engine: World) -> None:
    pipeline = await engine.publish({"needs_workspace": False, "phases": [TEXT]})
    run = await engine.run(pipeline, settings={"model": "elsewhere:big"})
    assert run["outcome_kind"] == "policy_blocked"
    assert "elsewhere" in run["error"]["message"]


async def test_phase_error_outside_the_loop(engine: World) -> None:
    run = await coded(engine, {"phases": [VERIFY]})
    assert (run["outcome_kind"], run["outcome_detail"]) == ("phase_error", "verify")
    assert run["error"]["kind"] == "command_failed"
    assert "expected good, got bad" in run["error"]["excerpt"]


async def test_changed_protected_files_are_only_completed(engine: World) -> None:
    pipeline = {**loop(IMPLEMENT, VERIFY), "protected": ["check.sh"]}
    bent = {"role": "coder", "files": {"check.sh": "exit 0\n", "state.txt": "good\n"}}
    run = await coded(engine, pipeline, bent)
    assert (run["outcome_kind"], run["protected_changed"]) == ("completed", ["check.sh"])


async def test_bending_the_check_does_not_verify(engine: World) -> None:
    pipeline = {**loop(IMPLEMENT, VERIFY, max_iterations=1), "protected": ["check.sh"]}
    run = await coded(engine, pipeline, {"role": "coder", "files": {"check.sh": "exit 0\n"}})
    assert run["outcome_kind"] == "max_iterations"


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"pipeline": "no-such"}, "no-such"),
        ({"org": "nobody"}, "nobody"),
        ({"repo": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"task": "bell \u0007"}, "U+0007"),
        ({"settings": {"model": "nocolon"}}, "settings.model"),
    ],
)
async def test_invalid_input_ends_at_once(engine: World, entry: dict[str, Any], named: str) -> None:
    repo = engine.repository({"a.txt": "a"})
    pipeline = await engine.publish({"phases": [VERIFY]})
    handle = await engine.start(entry.pop("pipeline", pipeline), **{"repo": str(repo), **entry})
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert "invalid_input" in str(failed.value.cause)
    assert named in str(failed.value.cause)
    assert await engine.rows("SELECT id FROM run") == []
