"""A whole run by an agent: it looks, writes the wrong thing, sees the test fail, mends it and says so."""

from tests.workflows.agents.runs import (
    FILES,
    RIGHT,
    VERIFY,
    WRONG,
    agent,
    attempt_of,
    call,
    loop,
    scripted,
    steps_of,
    turn,
)
from tests.workflows.world import World

FINISH = turn(call("finish", summary="done"))


async def test_an_agent_mends_a_repository_with_its_tools(engine: World) -> None:
    model = scripted(
        engine,
        turn(call("list_files"), call("read_file", path="calc.py"), text="I look first."),
        turn(call("search", pattern="def add")),
        turn(call("write_file", path="calc.py", text=WRONG), call("run_command", command="python3 test_calc.py")),
        turn(call("write_file", path="calc.py", text=RIGHT), call("run_command", command="python3 test_calc.py")),
        turn(call("finish", summary="add() adds now.")),
    )
    pipeline = await engine.publish(loop(agent(), VERIFY))
    run = await engine.run(pipeline, repo=str(engine.repository(FILES)), settings={"model": model})
    assert (run["status"], run["outcome_kind"]) == ("SUCCEEDED", "verified"), run["error"]

    attempt = await attempt_of(engine, run)
    assert (attempt["turns"], attempt["summary"]) == (5, "add() adds now.")
    assert (attempt["tokens_in"], attempt["tokens_out"]) == (50, 25)
    steps = await steps_of(engine, run)
    titles = [step["title"] for step in steps if step["kind"] == "tool_call"]
    assert titles == [
        "list_files",
        "read_file calc.py",
        "search def add",
        "write_file calc.py",
        "run_command python3 test_calc.py",
        "write_file calc.py",
        "run_command python3 test_calc.py",
        "finish add() adds now.",
    ]
    failed = next(step for step in steps if step["key"] == "turn#3/2")
    assert (failed["status"], failed["exit_code"]) == ("failed", 1)
    assert "AssertionError" in failed["tail"]
    assert next(step for step in steps if step["key"] == "turn#4/2")["tail"].strip() == "passed"
    assert [step["key"] for step in steps if step["kind"] == "model_call"] == [f"turn#{n}" for n in range(1, 6)]
    segments = await engine.rows("SELECT * FROM agent_segment WHERE run_id = %s ORDER BY number", run["id"])
    assert [row["turn"] for row in segments] == [0, 1, 2, 3, 4, 5]
    assert len({row["tree"] for row in segments}) == 3, "the base, the wrong tree and the right one"
    output = await engine.rows(
        "SELECT text FROM output_chunk WHERE run_id = %s ORDER BY execution_ordinal, seq", run["id"]
    )
    said = "".join(row["text"] for row in output)
    assert "[turn 1] I look first." in said and "-> write_file calc.py" in said and "AssertionError" in said


async def test_the_same_change_in_two_iterations_is_stuck(engine: World) -> None:
    model = scripted(engine, turn(call("write_file", path="calc.py", text=WRONG)), turn(call("finish")))
    pipeline = await engine.publish(loop(agent(), VERIFY, iterations=5))
    run = await engine.run(pipeline, repo=str(engine.repository(FILES)), settings={"model": model})
    assert (run["outcome_kind"], run["outcome_detail"], run["iterations"]) == ("stuck", "implement", 2)
    assert "the same change in iterations 1 and 2" in run["error"]["message"]
    assert "AssertionError" in run["error"]["excerpt"]


async def test_what_failed_reaches_the_agents_next_iteration(engine: World) -> None:
    """The opening of each iteration is a conversation of its own, with the earlier result in it."""
    one = {"role": "coder", "iteration": 1, "turns": [turn(call("write_file", path="calc.py", text=WRONG)), FINISH]}
    two = {"role": "coder", "iteration": 2, "turns": [turn(call("write_file", path="calc.py", text=RIGHT)), FINISH]}
    prompt = "{{ task.change }}{% for done in earlier %} [{{ done.phase }}: {{ done.status }}]{% endfor %}"
    pipeline = await engine.publish(loop(agent(prompt=prompt), VERIFY))
    run = await engine.run(pipeline, repo=str(engine.repository(FILES)), settings={"model": engine.script(one, two)})
    assert (run["outcome_kind"], run["iterations"]) == ("verified", 2), run["error"]
    openings = await engine.rows(
        "SELECT body FROM agent_segment WHERE run_id = %s AND number = 0 ORDER BY created_at", run["id"]
    )
    assert "[verify: failed]" not in openings[0]["body"] and "[verify: failed]" in openings[1]["body"]
