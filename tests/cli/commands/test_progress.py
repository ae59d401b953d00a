"""What is told of a run, line by line."""

from decimal import Decimal

import pytest

from cli.commands.progress import Progress, ending, final_lines, money, seconds, shown_lines
from domain.runs.ports import CommitFacts
from domain.runs.views import UsageView
from domain.runs.words import ExecutionStatus, OutcomeKind, PhaseStatus, RunStatus, WaitReason
from tests.cli.commands.views import BEGAN, FAILED, attempt, execution, run

COMMIT = CommitFacts(sha="a" * 40, subject="Mend dates", files_changed=1, insertions=2, deletions=1)


def _lines(*args: object, progress: Progress | None = None, **more: object) -> list[str]:
    return [line.text for line in (progress or Progress()).update(run(*args, **more))]  # type: ignore[arg-type]


def test_iterations_have_a_heading_once_and_outside_phases_have_none() -> None:
    progress = Progress()
    first = _lines(attempt("plan"), attempt("implement", iteration=1), progress=progress)
    assert first == [
        "plan                     passed   1.5 s",
        "Iteration 1",
        "implement                passed   1.5 s",
    ]
    again = [attempt("plan"), attempt("implement", iteration=1), attempt("verify", iteration=1)]
    assert _lines(*again, progress=progress) == ["verify                   passed   1.5 s"]
    assert _lines(*again, progress=progress) == []


def test_a_failure_has_its_message_excerpt_and_hint_without_control_characters() -> None:
    failed = attempt(
        "verify", iteration=1, status=PhaseStatus.FAILED, error=FAILED, fingerprint="test_old ValueError #0123456789ab"
    )
    lines = _lines(failed)
    assert lines[1].endswith("test_old ValueError")
    assert lines[2:] == [
        "  `pytest` ended with exit code 1.",
        "  │ [31mFAILED tests/test_dates.py::test_old[0m",
        "  → Its whole output is on the run's page.",
    ]


def test_a_review_is_labelled_as_automated_and_shows_its_comments() -> None:
    lines = _lines(
        attempt("self-review", iteration=1, status=PhaseStatus.CHANGES_REQUESTED, summary="- rename x\n- test y")
    )
    assert lines[1].startswith("self-review (automated)  asks for changes")
    assert lines[2:] == ["  │ - rename x", "  │ - test y"]


def test_attempt_is_only_said_of_retries() -> None:
    assert "attempt" not in _lines(attempt("plan"))[0]
    assert _lines(attempt("plan", number=2))[0].startswith("plan, attempt 2")


def test_starts_waits_lost_executions_and_cancel_are_told_once() -> None:
    progress = Progress()
    waiting = attempt("plan", status=PhaseStatus.WAITING, waiting_reason=WaitReason.NO_PERMIT)
    assert _lines(waiting, progress=progress) == ["plan waits for a free slot"]
    assert _lines(waiting, progress=progress) == []
    running = attempt("plan", status=PhaseStatus.RUNNING, executions=(execution(1, ExecutionStatus.RUNNING),))
    assert _lines(running, progress=progress) == ["plan started"]
    lost = (execution(1, ExecutionStatus.LOST), execution(2, ExecutionStatus.RUNNING))
    again = attempt("plan", status=PhaseStatus.RUNNING, executions=lost)
    told = _lines(again, progress=progress, cancel_requested_at=BEGAN)
    assert told == ["plan: execution 1 is over: its worker died", "plan started", "cancel requested"]


def test_why_a_run_is_not_delivered_is_told_once_and_at_the_end() -> None:
    progress = Progress()
    told = _lines(status=RunStatus.QUEUED, delivery_problem="its disk is full", progress=progress)
    assert told == ["Temporal does not have it yet: its disk is full"]
    assert _lines(status=RunStatus.QUEUED, delivery_problem="its disk is full", progress=progress) == []
    about = dict(final_lines(run(status=RunStatus.QUEUED, delivery_problem="its disk is full"), "/ui"))
    assert about["Not sent"] == told[0]
    assert "millwright doctor" in about["What to do"]


@pytest.mark.parametrize("reason", list(WaitReason))
def test_every_reason_to_wait_has_words(reason: WaitReason) -> None:
    assert "waits" in _lines(attempt("plan", status=PhaseStatus.WAITING, waiting_reason=reason))[0]


@pytest.mark.parametrize("status", [s for s in PhaseStatus if s not in (PhaseStatus.RUNNING, PhaseStatus.WAITING)])
def test_every_end_of_a_phase_has_words(status: PhaseStatus) -> None:
    assert _lines(attempt("plan", status=status))


def test_usage_and_commit_stand_beside_the_phase() -> None:
    used = UsageView(tokens_in=1000, tokens_out=234, cost_usd=Decimal("0.0123"))
    (line,) = _lines(attempt("commit", usage=used, commit=COMMIT))
    assert "1,234 tokens   $0.0123" in line
    assert "aaaaaaaaaaaa Mend dates (1 file, +2 -1)" in line
    (line,) = _lines(attempt("plan", usage=used.model_copy(update={"cost_usd": None})))
    assert "unknown cost" in line


def test_the_end_names_outcome_commit_branch_use_and_page() -> None:
    view = run(
        attempt("commit", iteration=2, commit=COMMIT),
        status=RunStatus.SUCCEEDED,
        outcome_kind=OutcomeKind.VERIFIED,
        iterations=2,
        delivered_branch="millwright/x",
        repo_path="/repo",
    )
    assert ending(view) == "Verified: the verification passed on the final tree"
    assert dict(final_lines(view, "http://page")) == {
        "Outcome": "verified",
        "Iterations": "2",
        "Commit": "aaaaaaaaaaaa Mend dates (1 file, +2 -1)",
        "Branch": "millwright/x in /repo",
        "Used": "0 tokens, $0.0000",
        "Page": "http://page",
    }


def test_what_is_to_know_stands_at_the_end() -> None:
    about = final_lines(run(warnings=("Not protected: one\x1b[2J.", "The checkout is dirty.")), "p")
    assert [value for what, value in about if what == "To know"] == ["Not protected: one[2J.", "The checkout is dirty."]


def test_a_failed_end_says_what_to_do() -> None:
    view = run(status=RunStatus.FAILED, outcome_kind=OutcomeKind.PHASE_ERROR, outcome_detail="verify", error=FAILED)
    assert ending(view) == "Failed: `pytest` ended with exit code 1"
    assert dict(final_lines(view, "p"))["What to do"] == FAILED.hint
    assert dict(final_lines(view, "p"))["Outcome"] == "phase_error(verify)"


def test_a_run_that_goes_on_has_its_status() -> None:
    assert ending(run()) == "Running"


def test_numbers_for_people() -> None:
    assert [seconds(v) for v in (0.04, 59.94, 61, 3723)] == ["0.0 s", "59.9 s", "1 min 01 s", "1 h 02 min"]
    assert money(None) == "unknown cost"


def test_only_the_last_lines_are_shown() -> None:
    assert shown_lines("a\n\nb\nc\r\n\td\x07", 2) == ["  │ c", "  │         d"]


def test_an_agent_says_its_turns() -> None:
    used = UsageView(tokens_in=900, tokens_out=100, cost_usd=Decimal("0.02"))
    (line,) = _lines(attempt("implement", turns=7, usage=used))
    assert line.endswith("1.5 s   7 turns   1,000 tokens   $0.0200")
    assert "1 turn " in f"{_lines(attempt('implement', turns=1))[0]} "
