"""Which failures are equal: a fingerprint is a readable label and a hash, `test_parse_dates ValueError #9f86d081884c`.

Of a command it is made of the failing test ids and exception types where the output has them; else of the output
with everything taken out that differs between two equal runs (numbers, times, addresses, paths).
"""

import hashlib
import re

from domain.base import Frozen
from domain.runs.failure import PhaseError

LABEL_LIMIT = 120
_MARK = " #"


class Runner(Frozen):
    """How one test runner writes a failing test; group 1 of the pattern is its id."""

    name: str
    failing: str


RUNNERS: tuple[Runner, ...] = (
    Runner(name="pytest", failing=r"^(?:FAILED|ERROR) (?=\S*(?:\.py|::))([^\s\[]+(?:\[[^\]\n]*\])?)(?= - |\s*$)"),
    Runner(name="pytest -v", failing=r"^(\S+::\S+) (?:FAILED|ERROR)\b"),
    Runner(name="unittest", failing=r"^(?:FAIL|ERROR): (\S+ \([\w.]+\))"),
    Runner(name="go test", failing=r"^\s*--- FAIL: (\S+)"),
    Runner(name="go build", failing=r"^FAIL\t(\S+) \[build failed\]"),
    Runner(name="jest", failing=r"^\s*● (.+ › .+?)\s*$"),
    Runner(name="node", failing=r"^\s*(?:✖|✕|not ok \d+ -) (?!failing tests:)(.+?)(?: \([\d.]+ ?m?s\))?\s*$"),
    Runner(name="cargo", failing=r"^test (\S+)(?: - should panic)? \.\.\. FAILED\b"),
)

EXCEPTIONS: tuple[str, ...] = (
    r"^(?:E\s+)?((?:\w+\.)*[A-Z]\w*(?:Error|Exception|Warning|Exit|Interrupt|Failure))(?::|\s*$)",  # Python
    r"^(?:FAILED|ERROR) \S+ - ((?:\w+\.)*[A-Z]\w*)(?::|\s*$)",  # pytest's short summary
    r"^\s*((?:Uncaught )?[A-Z]\w*Error)(?: \[\w+\])?:",  # JavaScript
    r"^(panic): ",  # Go
    r"^thread '.*' (?:\(\d+\) )?(panicked) at ",  # Rust
    r"^(error\[E\d{4}\])",  # rustc
)

_FAILING = tuple((runner.name, re.compile(runner.failing, re.MULTILINE)) for runner in RUNNERS)
_EXCEPTIONS = tuple(re.compile(pattern, re.MULTILINE) for pattern in EXCEPTIONS)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_NOISE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "<time>"),
    (re.compile(r"\b\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?\b"), "<time>"),
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:ns|µs|us|ms|s|sec|secs|seconds?|minutes?|m|h)\b"), "<duration>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,64}\b"), "<hex>"),
    (re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.@+~-]+)+[\\/]?"), "<path>"),
    (re.compile(r"\d+(?:[.,]\d+)*"), "<n>"),
    (re.compile(r"[ \t]+"), " "),
)


def of_output(output: str, error: PhaseError) -> str:
    """Of a failed command. Equal for the same failing tests with the same exceptions, whatever else it printed."""
    text = plain(output)
    failing = sorted((name, match) for name, matches in failing_tests(text).items() for match in matches)
    if not failing:
        return _make("", f"{error.kind}\n{normalized(text)}")
    tests = list(dict.fromkeys(test for _, test in failing))
    exceptions = sorted({match for pattern in _EXCEPTIONS for match in pattern.findall(text)})
    more = f" and {len(tests) - 3} more" if len(tests) > 3 else ""
    names = ", ".join(short_name(test) for test in tests[:3])
    return _make(" ".join([f"{names}{more}", *exceptions[:2]]), "\n".join([*tests, "", *exceptions]))


def failing_tests(output: str) -> dict[str, frozenset[str]]:
    """Ids of failing tests by the runner whose way of writing them it is; runners without any are left out."""
    text = plain(output)
    found = ((name, frozenset(pattern.findall(text))) for name, pattern in _FAILING)
    return {name: tests for name, tests in found if tests}


def plain(output: str) -> str:
    """Without colours."""
    return _ANSI.sub("", output)


def short_name(test: str) -> str:
    """`tests/test_a.py::test_b` and `test_b (tests.test_a.Case)` as `test_b`."""
    return test.rsplit("::", 1)[-1].split(" (", 1)[0]


def of_comments(comments: str) -> str:
    """Of the changes that a review asks for: the same words in another layout are the same."""
    words = " ".join(re.findall(r"\w+", normalized(comments).casefold()))
    return _make(words, words)


def of_error(error: PhaseError) -> str:
    """Of a failure that left nothing but its error: kind and normalized message."""
    return _make(error.kind, f"{error.kind}\n{normalized(error.message)}")


def label(fingerprint: str) -> str:
    """The readable part; empty when there is none."""
    return fingerprint.rpartition(_MARK)[0]


def normalized(text: str) -> str:
    """The text without what differs between two equal runs."""
    text = plain(text)
    for pattern, word in _NOISE:
        text = pattern.sub(word, text)
    return "\n".join(line for raw in text.splitlines() if (line := raw.strip()))


def _make(readable: str, identity: str) -> str:
    digest = hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()[:12]
    readable = " ".join(readable.replace(_MARK, " ").split())
    short = readable if len(readable) <= LABEL_LIMIT else readable[: LABEL_LIMIT - 1] + "…"
    return f"{short}{_MARK}{digest}"
