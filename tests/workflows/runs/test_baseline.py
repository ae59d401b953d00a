"""A repository that was red before: what was red is told apart from what is new, and may stay red where it is said."""

import sys

from tests.workflows.world import World

TEST = f"{sys.executable} -m unittest -v"
BROKEN = "import unittest\nimport calc\n\n\nclass A(unittest.TestCase):\n"
RED = "    def test_red(self):\n        self.assertEqual(1, 2)\n"
ADDS = "    def test_adds(self):\n        self.assertEqual(calc.add(1, 2), 3)\n"
CALC = "def add(a, b):\n    return a + b\n"


def _phases(command: str, red_before: str) -> dict[str, object]:
    implement = {"name": "implement", "kind": "model", "output": "files", "prompt": "go"}
    verify = {"name": "verify", "kind": "command", "command": command, "verifies": True, "red_before": red_before}
    return {"phases": [{"loop": {"max_iterations": 2, "phases": [implement, verify]}}]}


def _reply(calc: str, iteration: int) -> dict[str, object]:
    return {"iteration": iteration, "text": '{"files": {"calc.py": "' + calc.replace("\n", "\\n") + '"}}'}


async def _run(
    engine: World, repo: str, *replies: str, command: str = TEST, red_before: str = "fail"
) -> dict[str, object]:
    model = engine.script(*(_reply(calc, number) for number, calc in enumerate(replies, 1)))
    return await engine.run(await engine.publish(_phases(command, red_before)), repo=repo, settings={"model": model})


async def test_where_red_tests_may_stay_red_they_are_named_and_the_base_is_run_once_for_all_runs(engine: World) -> None:
    repo = str(engine.repository({"calc.py": CALC, "test_calc.py": BROKEN + RED + ADDS}))
    for number in (1, 2):
        run = await _run(engine, repo, f"{CALC}# {number}\n", red_before="pass")
        assert run["outcome_kind"] == "verified", run["error"]
    first, second = await engine.rows(
        "SELECT status, exit_code, summary FROM attempt WHERE phase = 'verify' ORDER BY finished_at"
    )
    assert (first["status"], first["exit_code"]) == ("passed", 1)
    assert first["summary"].startswith("Before this run: 1 red (test_red). Nothing else fails.\n")
    assert second["summary"].startswith("Before this run: 1 red")
    warned = await engine.rows(
        "SELECT data->>'message' AS message FROM run_event WHERE type = 'run.warning'"
        " AND data->>'message' NOT LIKE 'Not protected%%'"
    )
    assert [row["message"] for row in warned] == [
        "verify counts as passed, although its command failed: Before this run: 1 red (test_red). Nothing else fails."
    ] * 2, "each run says it once"
    steps = await engine.rows("SELECT title, status, exit_code, tail FROM step WHERE key LIKE %s", "baseline%")
    assert [(step["status"], step["exit_code"]) for step in steps] == [("failed", 1)] * 2, "once, and once more as red"
    assert steps[0]["title"].startswith("baseline: ")
    assert "FAILED (failures=1)" in steps[0]["tail"]
    output = await engine.row("SELECT count(*) AS n FROM artifact WHERE name = 'output'")
    assert output == {"n": 2}


async def test_what_is_new_fails_and_is_told_to_the_next_attempt(engine: World) -> None:
    repo = str(engine.repository({"calc.py": CALC, "test_calc.py": BROKEN + RED + ADDS}))
    run = await _run(engine, repo, CALC.replace("+", "-"), f"{CALC}# mended\n", red_before="pass")
    assert run["outcome_kind"] == "verified", run["error"]
    failed, _ = await engine.rows("SELECT error, summary FROM attempt WHERE phase = 'verify' ORDER BY iteration")
    assert failed["error"]["hint"].startswith("Before this run: 1 red (test_red). New: test_adds.")
    assert failed["summary"].startswith("Before this run: 1 red (test_red). New: test_adds.\n")


async def test_a_task_that_is_to_mend_a_red_test_does_not_pass_before_it_is_mended(engine: World) -> None:
    """A fix that does not help fails with the very test that was red; the next iteration mends it."""
    repo = str(engine.repository({"calc.py": CALC.replace("+", "-"), "test_calc.py": BROKEN + ADDS}))
    run = await _run(engine, repo, CALC.replace("+", "*"), CALC)
    assert (run["outcome_kind"], run["iterations"]) == ("verified", 2), run["error"]
    failed = await engine.row("SELECT error, summary FROM attempt WHERE phase = 'verify' AND iteration = 1")
    assert failed is not None
    assert failed["error"]["hint"].startswith("Before this run: 1 red (test_adds). Nothing else fails.")
    assert (
        await engine.rows(
            "SELECT 1 FROM run_event WHERE type = 'run.warning' AND data->>'message' NOT LIKE 'Not protected%%'"
        )
        == []
    )
    steps = await engine.rows("SELECT 1 FROM step WHERE key LIKE %s", "baseline%")
    assert len(steps) == 1


async def test_a_green_base_is_run_once_and_a_failure_is_a_failure(engine: World) -> None:
    repo = str(engine.repository({"calc.py": CALC, "test_calc.py": BROKEN + ADDS}))
    run = await _run(engine, repo, CALC.replace("+", "-"), CALC.replace("+", "*"))
    assert run["outcome_kind"] == "max_iterations"
    steps = await engine.rows("SELECT status FROM step WHERE key LIKE %s", "baseline%")
    assert [step["status"] for step in steps] == ["done"]


async def test_a_command_that_never_worked_is_said(engine: World) -> None:
    repo = str(engine.repository({"calc.py": CALC}))
    run = await _run(engine, repo, f"{CALC}# 1\n", f"{CALC}# 2\n", command="no-such-test-runner")
    assert run["outcome_kind"] == "max_iterations"
    failed = await engine.row("SELECT error FROM attempt WHERE phase = 'verify' ORDER BY iteration LIMIT 1")
    assert failed is not None
    assert failed["error"]["hint"].startswith("The base does not pass either (`no-such-test-runner` ended with exit")


async def test_a_green_repository_pays_nothing(engine: World) -> None:
    repo = str(engine.repository({"calc.py": CALC, "test_calc.py": BROKEN + ADDS}))
    run = await _run(engine, repo, f"{CALC}# 1\n")
    assert run["outcome_kind"] == "verified"
    assert await engine.rows("SELECT 1 FROM baseline") == []
    assert await engine.rows("SELECT 1 FROM step WHERE key LIKE %s", "baseline%") == []


async def test_a_set_up_that_does_not_work_on_the_base_is_said(engine: World) -> None:
    """The run may be there to mend it; its verification is not lost for that."""
    repo = str(engine.repository({"calc.py": f"{CALC}# BROKEN\n", "test_calc.py": BROKEN + ADDS}))
    await _run(engine, repo, CALC)
    await engine.rows(
        "UPDATE workspace SET setup_command = '! grep -q BROKEN calc.py', setup_inputs = '[\"calc.py\"]' RETURNING 1"
    )
    run = await _run(engine, repo, CALC.replace("+", "-"), CALC)
    assert run["outcome_kind"] == "verified", run["error"]
    failed = await engine.row("SELECT error FROM attempt WHERE phase = 'verify' AND status = 'failed'")
    assert failed is not None
    assert "The base does not pass either (The set-up command of workspace" in failed["error"]["hint"]
