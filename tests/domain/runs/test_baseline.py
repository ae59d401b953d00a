"""Which failed verification was as red before: on real output of each runner, and every doubt against it."""

import pytest

from domain.runs.baseline import Baseline, BaselineRun, Failing, Judged, failing, judge

PYTEST = """\
=========================== short test summary info ============================
FAILED tests/test_a.py::test_red - assert 1 == 2
ERROR tests/test_a.py::test_broken - fixture 'x' not found
==================== 1 failed, 3 passed, 1 error in 0.12s =====================
"""
UNITTEST = "FAIL: test_red (tests.A.test_red)\n------\nRan 3 tests in 0.001s\n\nFAILED (failures=1)\n"
JEST = """\
  ✕ red (5 ms)
  ● sum › red

Test Suites: 1 failed, 1 total
Tests:       1 failed, 2 passed, 3 total
"""
NODE = "✖ red (1.2ms)\nℹ tests 3\nℹ fail 1\nℹ duration_ms 48.1\n✖ failing tests:\n\n✖ red (1.2ms)\n"
GO = "--- FAIL: TestRed (0.00s)\n    add_test.go:11: got 4, want 3\nFAIL\nFAIL\texample.com/sum\t0.004s\n"
CARGO = """\
test tests::red ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
error: 1 target failed:
    `--lib`
"""
CERTAIN = {
    "pytest": (PYTEST, "pytest", 2),
    "pytest -q": (PYTEST.replace("=", ""), ". venv/bin/activate && python -m pytest -q", 2),
    "unittest": (UNITTEST, "python3 -m unittest discover", 1),
    "jest": (JEST, "npm test", 2),
    "node": (NODE, "node --test", 1),
    "go": (GO, "go test ./...", 1),
    "cargo": (CARGO, "cargo test --no-fail-fast", 1),
    "colours": (PYTEST.replace("FAILED", "\x1b[31mFAILED\x1b[0m"), "make test", 2),
}
DOUBTFUL = {
    "no test is named": ("ModuleNotFoundError: No module named 'x'\n", "pytest", "no failing test"),
    "another number": (PYTEST.replace("1 failed", "2 failed"), "pytest", "states 3 of failures, 2 could be read"),
    "no number": ("\n".join(PYTEST.splitlines()[:-1]), "pytest", "no number"),
    "stopped early": (PYTEST + "!!!!!!! stopping after 1 failures !!!!!!!\n", "pytest", "stopped early"),
    "told to stop": (PYTEST, "pytest -qx tests", "first failure"),
    "told to stop, long": (PYTEST, "pytest --maxfail=3", "first failure"),
    "unittest told to stop": (UNITTEST, "python -m unittest -f", "first failure"),
    "a panic": (GO + "panic: runtime error: index out of range\n", "go test ./...", "panic"),
    "cargo stopped": (CARGO.replace("error: 1 target failed", "error: test failed, to rerun"), "cargo test", "cargo"),
    "a file of jest": (JEST + "  ● Test suite failed to run\n", "npm test", "could not be loaded"),
    "cut output": ("[… 5,000 bytes left out …]\n" + PYTEST, "pytest", "cut"),
    "a linter after the tests": (PYTEST, "pytest && ruff check", "more commands"),
    "a pipe": (PYTEST, "pytest | tee log", "more commands"),
    "unexpected successes": (UNITTEST.replace("=1", "=1, unexpected successes=1"), "python -m unittest", "2"),
}


@pytest.mark.parametrize("case", CERTAIN)
def test_all_failing_tests_are_known(case: str) -> None:
    output, command, count = CERTAIN[case]
    found = failing(output, command)
    assert (len(found.tests), found.doubt) == (count, "")


@pytest.mark.parametrize("case", DOUBTFUL)
def test_what_is_not_certain_is_said(case: str) -> None:
    output, command, doubt = DOUBTFUL[case]
    assert doubt in failing(output, command).doubt


def _red(*tests: str, exit_code: int = 1, doubt: str = "") -> BaselineRun:
    return BaselineRun(
        passed=False,
        exit_code=exit_code,
        failing=Failing(tests=tests, doubt=doubt),
        message="`make test` ended with exit code 1.",
    )


GREEN = BaselineRun(passed=True, exit_code=0)


def test_what_was_red_or_flaky_before_is_told() -> None:
    baseline = Baseline(runs=(_red("t.py::a", "t.py::b"), _red("t.py::a", "t.py::c")))
    judged = judge(baseline, Failing(tests=("t.py::a", "t.py::b")), 1)
    assert judged.only_red_before
    assert judged.note == "Before this run: 1 red (a), 1 flaky (b). Nothing else fails."
    assert judged.red_before == ("t.py::a", "t.py::b")


def test_one_new_failure_is_enough_and_is_told_apart() -> None:
    judged = judge(Baseline(runs=(_red("a"),)), Failing(tests=("a", "mine")), 1)
    assert judged == Judged(note="Before this run: 1 red (a). New: mine.", red_before=("a",))
    other = judge(Baseline(runs=(_red("a"),)), Failing(tests=("mine",)), 1)
    assert not other.only_red_before and "with other tests: a" in other.note


def test_a_green_base_says_nothing() -> None:
    assert judge(Baseline(runs=(GREEN,)), Failing(tests=("a",)), 1) == Judged()


@pytest.mark.parametrize(
    ("baseline", "now", "exit_code"),
    [
        (_red("a"), Failing(tests=("a",), doubt="its output was cut"), 1),
        (_red("a", doubt="its output was cut"), Failing(tests=("a",)), 1),
        (_red("a"), Failing(tests=("a",)), 2),
        (_red("a", exit_code=139), Failing(tests=("a",)), 1),
        (_red(), Failing(doubt="no failing test could be read from its output"), 1),
        (_red("a"), Failing(), 1),
        (_red(), Failing(tests=("a",)), 1),
    ],
)
def test_any_doubt_leaves_it_failed_and_says_that_the_base_fails_too(
    baseline: BaselineRun, now: Failing, exit_code: int
) -> None:
    judged = judge(Baseline(runs=(baseline,)), now, exit_code)
    assert not judged.only_red_before
    assert "The base does not pass either" in judged.note


def test_many_names_are_counted() -> None:
    tests = tuple(f"t{number:02}" for number in range(15))
    note = judge(Baseline(runs=(_red(*tests),)), Failing(tests=tests), 1).note
    assert "t09 and 5 more)" in note
