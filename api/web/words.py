"""The words and icons of every status: one table, so that no page shows colour without a word."""

from typing import NamedTuple

from domain.pipelines.spec import PhaseKind
from domain.runs.views import RunListItem
from domain.runs.words import AttemptCause, PhaseStatus, RunStatus, StepStatus


class Look(NamedTuple):
    word: str
    icon: str
    """Name of a symbol in `_status.html`."""
    tone: str
    """good, bad, warn, busy or idle: the colour that only repeats the word."""


RUN: dict[RunStatus, Look] = {
    RunStatus.QUEUED: Look("Queued", "dots", "idle"),
    RunStatus.RUNNING: Look("Running", "ring", "busy"),
    RunStatus.WAITING: Look("Waiting", "clock", "warn"),
    RunStatus.SUCCEEDED: Look("Succeeded", "tick", "good"),
    RunStatus.FAILED: Look("Failed", "cross", "bad"),
    RunStatus.CANCELLED: Look("Cancelled", "slash", "idle"),
}

PHASE: dict[PhaseStatus, Look] = {
    PhaseStatus.WAITING: Look("Waiting", "clock", "warn"),
    PhaseStatus.RUNNING: Look("Running", "ring", "busy"),
    PhaseStatus.PASSED: Look("Done", "tick", "good"),
    PhaseStatus.CHANGES_REQUESTED: Look("Changes requested", "turn", "warn"),
    PhaseStatus.FAILED: Look("Failed", "cross", "bad"),
    PhaseStatus.CANCELLED: Look("Cancelled", "slash", "idle"),
}

STEP: dict[StepStatus, Look] = {
    StepStatus.RUNNING: Look("Running", "ring", "busy"),
    StepStatus.DONE: Look("Done", "tick", "good"),
    StepStatus.FAILED: Look("Failed", "cross", "bad"),
    StepStatus.LOST: Look("Lost", "slash", "warn"),
}

NOT_STARTED = Look("Not started", "dots", "idle")
SKIPPED = Look("Skipped", "slash", "idle")
STALE = Look("Stale", "turn", "idle")

TILE: dict[RunStatus, str] = {
    RunStatus.FAILED: "ended without success",
    RunStatus.WAITING: "for a permit, a limit or a person",
    RunStatus.RUNNING: "at work now",
    RunStatus.QUEUED: "not taken by a worker yet",
}


def outcome(run: RunListItem) -> str:
    """`verified`, `max_consecutive_failures(verify)`; empty before the end."""
    if run.outcome_kind is None:
        return ""
    return f"{run.outcome_kind}({run.outcome_detail})" if run.outcome_detail else str(run.outcome_kind)


LOST = Look("Lost", "slash", "warn")
CAUSES: dict[AttemptCause, str] = {
    AttemptCause.FIRST: "first",
    AttemptCause.REQUESTED: "asked for",
    AttemptCause.DOWNSTREAM: "after an earlier phase was retried",
}
KINDS: dict[str, str] = {PhaseKind.REVIEW: "Self-review (automated)"}


def exit_text(exit_code: int | None, signal: str | None) -> str:
    """`Exit 0`, `Exit 1`, `Ended by SIGKILL`; empty when no command ran."""
    if signal:
        return f"Ended by {signal}"
    return f"Exit {exit_code}" if exit_code is not None else ""


UP = Look("Up", "tick", "good")
QUIET = Look("Quiet", "clock", "warn")


def model(asked: str | None, answered: str | None) -> str:
    """`openai:gpt-5-mini`; both where another model answered than was asked for; empty when none was asked."""
    if asked is None:
        return answered or ""
    if answered is None or asked.partition(":")[2] == answered or asked == answered:
        return asked
    return f"{answered} (asked for {asked})"
