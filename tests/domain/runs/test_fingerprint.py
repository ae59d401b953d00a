"""Which failures are equal, on real output of each runner."""

import pytest

from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.fingerprint import RUNNERS, label, of_comments, of_error, of_output

FAILED = PhaseError(kind=ErrorKind.COMMAND_FAILED, message="`make test` ended with exit code 1.")

PYTEST = """\
.F.                                                                      [100%]
=================================== FAILURES ===================================
_______________________________ test_parse_dates _______________________________
    def test_parse_dates():
>       assert parse("x") == 1
E       ValueError: time data 'x' does not match

/tmp/pytest-of-me/pytest-17/tests/test_dates.py:12: ValueError
=========================== short test summary info ============================
FAILED tests/test_dates.py::test_parse_dates - ValueError: time data 'x' does not match
FAILED tests/test_dates.py::test_ranges[2024-01 b] - assert 1 == 2
2 failed, 1 passed in 0.12s
"""
UNITTEST = """\
======================================================================
FAIL: test_adds (tests.test_sum.SumTest.test_adds)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/tmp/x17/tests/test_sum.py", line 8, in test_adds
    self.assertEqual(add(1, 2), 3)
AssertionError: 4 != 3

----------------------------------------------------------------------
Ran 3 tests in 0.001s

FAILED (failures=1, errors=2)
"""
GO = """\
=== RUN   TestAdd
--- FAIL: TestAdd (0.00s)
    --- FAIL: TestAdd/negative (0.00s)
        add_test.go:11: got 4, want 3
panic: runtime error: index out of range [recovered]
FAIL
FAIL\texample.com/sum\t0.004s
"""
GO_BUILD = "# example.com/sum\n./add.go:3:1: syntax error\nFAIL\texample.com/sum [build failed]\n"
JEST = """\
 FAIL  src/sum.test.js
  sum
    ✕ adds negative numbers (5 ms)

  ● sum › adds negative numbers

    TypeError: Cannot read properties of undefined
"""
NODE = "✖ adds negative numbers (1.203ms)\n  TypeError [ERR_X]: wrong\nℹ fail 1\nℹ duration_ms 48.1\n"
TAP = "TAP version 13\nnot ok 3 - adds negative numbers\n  duration_ms: 0.4\n"
CARGO = """\
test tests::adds ... FAILED
thread 'tests::adds' panicked at src/lib.rs:12:9:
assertion `left == right` failed
"""

CASES = {
    "pytest": (PYTEST, "test_parse_dates, test_ranges[2024-01 b] ValueError"),
    "pytest -v": ("tests/test_a.py::test_b FAILED            [ 50%]\nE   KeyError: 'x'\n", "test_b KeyError"),
    "unittest": (UNITTEST, "test_adds AssertionError"),
    "go test": (GO, "TestAdd, TestAdd/negative panic"),
    "go build": (GO_BUILD, "example.com/sum"),
    "jest": (JEST, "sum › adds negative numbers, adds negative numbers TypeError"),
    "node": (NODE, "adds negative numbers TypeError"),
    "cargo": (CARGO, "adds panicked"),
}


@pytest.mark.parametrize("runner", CASES)
def test_failing_tests_and_exceptions_are_read(runner: str) -> None:
    output, readable = CASES[runner]
    assert label(of_output(output, FAILED)) == readable


def test_every_runner_of_the_table_has_a_case() -> None:
    assert {runner.name for runner in RUNNERS} == set(CASES)
    assert label(of_output(TAP, FAILED)) == "adds negative numbers"


@pytest.mark.parametrize("output", [case[0] for case in CASES.values()] + [TAP])
def test_other_numbers_paths_times_and_colours_are_the_same_failure(output: str) -> None:
    again = (
        output.replace("0.12s", "9.87s")
        .replace("failures=1", "failures=3")
        .replace("/tmp/", "/var/tmp/other/")
        .replace("(5 ms)", "(812 ms)")
    )
    again = again.replace("1.203ms", "7.1ms").replace("FAILED tests", "\x1b[31mFAILED\x1b[0m tests")
    assert of_output(output, FAILED) == of_output(again + "\nleft over: 17 warnings", FAILED)


def test_another_test_or_another_exception_is_another_failure() -> None:
    assert of_output(PYTEST, FAILED) != of_output(PYTEST.replace("test_ranges", "test_spans"), FAILED)
    assert of_output(UNITTEST, FAILED) != of_output(UNITTEST.replace("AssertionError", "KeyError"), FAILED)


def test_unknown_output_is_equal_when_only_noise_differs() -> None:
    first = "2026-01-02T03:04:05Z build 17 of /home/a/x.c failed after 3.2s at 0x7ffd12 (commit 1a2b3c4d5e)\n"
    second = "2026-11-12T13:14:15Z  build 18 of /tmp/b/y.c failed after 9 ms at 0x55aa99 (commit 99aabbccdd)\n\n"
    assert of_output(first, FAILED) == of_output(second, FAILED)
    assert of_output(first, FAILED) != of_output(first.replace("build", "link"), FAILED)
    assert label(of_output(first, FAILED)) == ""


def test_the_same_output_with_another_kind_is_another_failure() -> None:
    late = PhaseError(kind=ErrorKind.TIME_LIMIT, message="too long")
    assert of_output("x", FAILED) != of_output("x", late)


def test_many_failing_tests_give_a_short_label_and_all_count() -> None:
    many = "\n".join(f"FAILED tests/test_a.py::test_{n} - assert 0" for n in range(50))
    assert label(of_output(many, FAILED)) == "test_0, test_1, test_10 and 47 more"
    assert of_output(many, FAILED) != of_output(many.replace("test_49", "test_50"), FAILED)


def test_comments_are_equal_in_another_layout() -> None:
    first = of_comments("- Rename `x`.\n- Add a test at line 12.\n")
    assert first == of_comments("* rename `x`\n\n* add a test at line 14")
    assert first != of_comments("Rename `y`.")
    assert label(first) == "rename x add a test at line n"


def test_errors_are_equal_by_kind_and_message() -> None:
    one = PhaseError(kind=ErrorKind.INVALID_OUTPUT, message="No JSON at 17.")
    assert of_error(one) == of_error(one.model_copy(update={"message": "No JSON at 99.", "excerpt": "other"}))
    assert of_error(one) != of_error(one.model_copy(update={"kind": ErrorKind.TIMEOUT}))
    assert label(of_error(one)) == "invalid_output"


def test_any_bytes_that_were_decoded_safely_are_fine() -> None:
    assert of_output("\udcff\x00\x1b[", FAILED)
