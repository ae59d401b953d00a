"""What was red before a run changed anything, and what that means for a failed verification (DESIGN 5.1).

What was red before is named, and told apart from what is new. Whether it may stay red is for the pipeline to say: the
task may be to mend just these tests. Where it may, a failed verification passes when every test that fails in it failed
on the base as well, and when that is certain: all failing tests are known by their ids, their number is the one that
the runner states, nothing stopped early, and the command ended the same way on the base.
"""

import re
from collections.abc import Iterable

from domain.base import Frozen
from domain.runs.fingerprint import failing_tests, plain, short_name

NAMED = 10
"""Tests that a message names; the others are counted."""


class Failing(Frozen):
    """The failing tests of one run of a command."""

    tests: tuple[str, ...] = ()
    doubt: str = ""
    """Why there may be others; empty when there are none."""


class BaselineRun(Frozen):
    """One run of the verification on the base tree."""

    passed: bool
    exit_code: int | None = None
    failing: Failing = Failing()
    message: str = ""
    """How it failed."""


class Baseline(Frozen):
    """What the verification says of a base tree: run once, and once more when it is red, to tell flaky tests."""

    runs: tuple[BaselineRun, ...]

    @property
    def passed(self) -> bool:
        return all(run.passed for run in self.runs)

    @property
    def red(self) -> frozenset[str]:
        """Failed in every run."""
        return frozenset.intersection(*(frozenset(run.failing.tests) for run in self.runs))

    @property
    def flaky(self) -> frozenset[str]:
        """Failed in some runs."""
        return frozenset().union(*(run.failing.tests for run in self.runs)) - self.red


class Judged(Frozen):
    """A failed verification, compared with the base."""

    only_red_before: bool = False
    """Certainly nothing fails that did not fail before."""
    note: str = ""
    """For people and for the next prompt; empty when the base says nothing about it."""
    red_before: tuple[str, ...] = ()
    """Failing tests that were red or flaky before."""


class _Group(Frozen):
    """A test runner: whose ids they are, and how it states the number of failures."""

    ids: tuple[str, ...]
    word: str
    """Names the runner in a command line."""
    line: str
    numbers: str
    only_last: bool = False


_GROUPS = (
    _Group(
        ids=("pytest", "pytest -v"),
        word=r"pytest|py\.test|tox|nox",
        line=r"^.*\b\d+ (?:failed|errors?|passed)\b.* in [\d.]+s\b.*$",
        numbers=r"(\d+) (?:failed|errors?)\b",
        only_last=True,
    ),
    _Group(
        ids=("unittest",),
        word=r"unittest|manage\.py|test",
        line=r"^FAILED \(.*\)$",
        numbers=r"(?:failures|errors|unexpected successes)=(\d+)",
    ),
    _Group(
        ids=("jest",),
        word=r"jest|npm|npx|yarn|pnpm",
        line=r"^Tests:\s.*$",
        numbers=r"(\d+) failed",
    ),
    _Group(ids=("node",), word=r"node|npm|npx|yarn|pnpm", line=r"^(?:ℹ|#) fail \d+\s*$", numbers=r"(\d+)"),
    _Group(ids=("cargo",), word=r"cargo", line=r"^test result: FAILED\..*$", numbers=r"(\d+) failed"),
)
_GO = ("go test", "go build")

_STOPPED: tuple[tuple[str, str], ...] = (
    (r"^!+ .*(?:stopping after|Interrupted|KeyboardInterrupt)", "pytest stopped early"),
    (r"^INTERNALERROR>", "pytest broke"),
    (r"^panic: ", "a panic ended a package's tests"),
    (r"Test suite failed to run", "a test file could not be loaded"),
    (r"^Bail out!", "the tests bailed out"),
    (r"\[… [\d,]+ (?:bytes|characters) left out …\]", "its output was cut"),
)
_CARGO_STOPPED = r"^error: test failed, to rerun"
_CARGO_WENT_ON = r"^error: \d+ targets? failed"
_STOPS = (
    r"(?:^|\s)(?:--exitfirst|--maxfail\S*|--failfast|-failfast|--bail\S*|--fail-fast)(?=\s|$)",
    r"pytest\b.*\s-[a-zA-Z]*x[a-zA-Z]*(?=\s|$)",
    r"(?:unittest|manage\.py)\b.*\s-f(?=\s|$)",
)
_PARTS = re.compile(r"&&|\|\||[;|\n]")


def failing(output: str, command: str) -> Failing:
    """Of a test command's output. Never raises."""
    text = plain(output)
    found = failing_tests(text)
    tests = tuple(sorted(frozenset().union(*found.values()))) if found else ()
    return Failing(tests=tests, doubt=_doubt(text, command, found))


def judge(baseline: Baseline, now: Failing, exit_code: int | None) -> Judged:
    """A verification that failed with `now`."""
    if baseline.passed:
        return Judged()
    known = baseline.red | baseline.flaky
    before, new = [test for test in now.tests if test in known], [test for test in now.tests if test not in known]
    told = _told(baseline, before)
    if new and before:
        return Judged(note=f"{told} New: {_names(new)}.", red_before=tuple(before))
    if new and known:
        return Judged(note=f"The base was red, too, with other tests: {_names(sorted(known))}.")
    doubt = now.doubt or next((run.failing.doubt for run in baseline.runs if run.failing.doubt), "")
    if not doubt and exit_code not in {run.exit_code for run in baseline.runs}:
        doubt = f"the command ended otherwise than on the base (exit code {exit_code})"
    if not before or doubt:
        how = baseline.runs[0].message
        why = doubt or "no failing test could be read from its output"
        note = f"The base does not pass either ({how.rstrip('.')}). Whether this is the same is not certain: {why}."
        return Judged(note=note, red_before=tuple(before))
    return Judged(only_red_before=True, note=f"{told} Nothing else fails.", red_before=tuple(before))


def _doubt(text: str, command: str, found: dict[str, frozenset[str]]) -> str:
    if not found:
        return "no failing test could be read from its output"
    for pattern, why in _STOPPED:
        if re.search(pattern, text, re.MULTILINE):
            return why
    if re.search(_CARGO_STOPPED, text, re.MULTILINE) and not re.search(_CARGO_WENT_ON, text, re.MULTILINE):
        return "cargo stopped at the first failing target (--no-fail-fast goes on)"
    if any(re.search(pattern, command) for pattern in _STOPS):
        return "the command stops at its first failure"
    groups = [group for group in _GROUPS if any(name in found for name in group.ids)]
    if any(group.ids == ("jest",) for group in groups):
        groups = [group for group in groups if group.ids != ("node",)]  # jest's list has node's marks
    for group in groups:
        stated = _stated(group, text)
        read = len(frozenset().union(*(found.get(name, frozenset()) for name in group.ids)))
        if stated is None or read < stated:
            return f"the runner states {'no number' if stated is None else stated} of failures, {read} could be read"
    words = "|".join([*(group.word for group in groups), *(("go",) if any(name in found for name in _GO) else ())])
    parts = [part for part in _PARTS.split(command) if part.strip()]
    if len(parts) > 1 and not re.search(words, parts[-1]):
        return "more commands follow the tests"
    return ""


def _stated(group: _Group, text: str) -> int | None:
    lines = re.findall(group.line, text, re.MULTILINE)
    if not lines:
        return None
    counted = lines[-1:] if group.only_last else lines
    return sum(int(number) for line in counted for number in re.findall(group.numbers, line))


def _told(baseline: Baseline, before: list[str]) -> str:
    red = [test for test in before if test in baseline.red]
    flaky = [test for test in before if test not in baseline.red]
    parts = [f"{len(red)} red ({_names(red)})"] if red else []
    parts += [f"{len(flaky)} flaky ({_names(flaky)})"] if flaky else []
    return f"Before this run: {', '.join(parts)}."


def _names(tests: Iterable[str]) -> str:
    shown = [short_name(test) for test in tests]
    more = f" and {len(shown) - NAMED} more" if len(shown) > NAMED else ""
    return f"{', '.join(shown[:NAMED])}{more}"
