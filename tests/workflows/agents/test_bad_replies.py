"""What a model may say wrongly is answered and counted, and never leaves the worktree; too much of it is `stuck`."""

from pathlib import Path
from typing import Any

import pytest

from tests.workflows.agents.runs import (
    FILES,
    RIGHT,
    agent,
    attempt_of,
    call,
    scripted,
    steps_of,
    turn,
)
from tests.workflows.world import World

FINISH = turn(call("finish", summary="done"))


async def _results(world: World, run: dict[str, Any]) -> str:
    """Everything that the model was told, as the record has it."""
    rows = await world.rows("SELECT body FROM agent_segment WHERE run_id = %s ORDER BY number", run["id"])
    return "\n".join(row["body"] for row in rows)


async def _run(world: World, *turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    pipeline = await world.publish({"phases": [agent(**more)]})
    return await world.run(pipeline, repo=str(world.repository(FILES)), settings={"model": scripted(world, *turns)})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (turn({"name": "write_file", "raw": '{"path": "a'}), "no valid JSON"),
        (turn({"name": "write_file", "raw": "[1]"}), "one JSON object"),
        (turn({"name": "write_file", "raw": '{"path": "calc'}, finish="length"), "cut off"),
        (turn(call("write_file", path="calc.py")), "text: Field required"),
        (turn(call("write_file", path="calc.py", text="x", mode=7)), "mode: Extra inputs"),
        (turn(call("send_mail", to="a")), "There is no tool 'send_mail'"),
        (turn(text="I would change calc.py."), "no tool call"),
        (turn(call("write_file", path="/etc/motd", text="x")), "absolute"),
        (turn(call("write_file", path="../x", text="x")), "'..'"),
        (turn(call("write_file", path=".git/hooks/pre-commit", text="x")), ".git"),
        (turn(call("read_file", path="../../../../etc/passwd")), "leaves the repository"),
        (turn(call("apply_patch", patch="--- a/calc.py\n+++ b/calc.py\n@@ -1 +1 @@\n-no\n+x\n")), "does not apply"),
        (turn(call("run_command", command="exit 3")), "[exit code 3]"),
    ],
)
async def test_it_is_told_what_was_wrong_and_goes_on(engine: World, wrong: dict[str, Any], said: str) -> None:
    run = await _run(engine, wrong, FINISH)
    assert run["status"] == "SUCCEEDED", run["error"]
    assert said in await _results(engine, run)
    assert (await attempt_of(engine, run))["turns"] == 2


async def test_a_path_through_a_link_is_refused(engine: World, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    link = turn(call("run_command", command=f"ln -s {tmp_path / 'outside'} linked"))
    run = await _run(engine, link, turn(call("write_file", path="linked/x.txt", text="x")), FINISH)
    assert run["status"] == "SUCCEEDED", run["error"]
    assert "symbolic link" in await _results(engine, run)
    assert list((tmp_path / "outside").iterdir()) == []


async def test_parallel_calls_run_in_order_and_a_wrong_one_stops_none(engine: World) -> None:
    mixed = turn(
        call("write_file", path="calc.py", text=RIGHT),
        {"name": "read_file", "raw": "{"},
        call("run_command", command="python3 test_calc.py"),
    )
    run = await _run(engine, mixed, FINISH)
    steps = [step["key"] for step in await steps_of(engine, run) if step["kind"] == "tool_call"]
    assert steps == ["turn#1/1", "turn#1/3", "turn#2/1"]
    assert "passed" in await _results(engine, run)


async def test_replies_without_a_tool_call_are_stuck(engine: World) -> None:
    run = await _run(engine, *(turn(text=f"Thinking about it, part {n}.") for n in range(9)))
    assert (run["outcome_kind"], run["outcome_detail"]) == ("stuck", "implement")
    assert "3 replies in a row" in run["error"]["message"]
    assert "turn 3: Thinking about it, part 2." in run["error"]["excerpt"]


async def test_the_same_action_with_the_same_observation_is_stuck(engine: World) -> None:
    run = await _run(engine, *(turn(call("read_file", path="calc.py")) for _ in range(9)))
    assert run["outcome_kind"] == "stuck"
    assert "did the same thing 4 times" in run["error"]["message"]
    assert "return a - b" in run["error"]["excerpt"]
    assert (await attempt_of(engine, run))["turns"] == 4


async def test_going_back_and_forth_is_stuck(engine: World) -> None:
    pair = [turn(call("read_file", path="calc.py")), turn(call("list_files"))]
    run = await _run(engine, *(pair * 5))
    assert run["outcome_kind"] == "stuck"
    assert "back and forth" in run["error"]["message"]
    assert (await attempt_of(engine, run))["turns"] == 6


async def test_the_cap_on_turns_really_stops_it(engine: World) -> None:
    run = await _run(engine, *(turn(call("run_command", command=f"echo {n}")) for n in range(9)), max_turns=5)
    assert (run["outcome_kind"], run["outcome_detail"]) == ("stuck", "implement")
    assert "all of its 5 turns" in run["error"]["message"]
    assert "echo 4" in run["error"]["excerpt"]
    calls = [step for step in await steps_of(engine, run) if step["kind"] == "model_call"]
    assert len(calls) == 5


async def test_the_cap_on_tokens_really_stops_it(engine: World) -> None:
    turns = (
        turn(call("run_command", command=f"echo {n}"), usage={"tokens_in": 900, "tokens_out": 100}) for n in range(9)
    )
    run = await _run(engine, *turns, max_tokens=3_500)
    assert (run["outcome_kind"], run["outcome_detail"]) == ("budget_exceeded", "tokens")
    assert (await attempt_of(engine, run))["tokens_in"] <= 2_700


async def test_the_cap_on_money_really_stops_it(engine: World) -> None:
    turns = (turn(call("run_command", command=f"echo {n}"), usage={"billed_usd": "0.40"}) for n in range(9))
    run = await _run(engine, *turns, max_cost_usd="1.00")
    assert (run["outcome_kind"], run["outcome_detail"]) == ("budget_exceeded", "cost")
    assert float((await attempt_of(engine, run))["known_cost_usd"]) <= 1.0


async def test_the_cap_on_time_really_stops_it(engine: World) -> None:
    turns = (turn(call("run_command", command=f"echo {n}; sleep 1")) for n in range(60))
    run = await _run(engine, *turns, time_limit_seconds=3)
    assert run["outcome_kind"] == "phase_error"
    assert run["error"]["kind"] == "time_limit"
    assert "of 3 s" in run["error"]["message"]
