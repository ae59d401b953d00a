"""What is new about a run, as lines for people: pure, from one view of the run to the next.

"Iteration" is the loop's, "attempt" only a retry's; a review by a model is labelled as automated.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator

from domain.base import Frozen
from domain.pipelines.spec import PhaseKind
from domain.runs.fingerprint import label
from domain.runs.outcome import Outcome, headline
from domain.runs.ports import CommitFacts
from domain.runs.views import AttemptView, RunView
from domain.runs.words import ExecutionStatus, OutcomeKind, PhaseStatus, WaitReason

EXCERPT_LINES = 12
COMMENT_LINES = 6
NAME_WIDTH = 24

WAITING = {
    WaitReason.NO_PERMIT: "waits for a free slot",
    WaitReason.PAUSED: "waits: paused by a person",
    WaitReason.COOLING: "waits: the provider cools down",
    WaitReason.RATE_LIMIT: "waits: the provider's rate limit",
}
UNDELIVERED = "Temporal does not have it yet"
ENDED = {
    PhaseStatus.PASSED: "passed",
    PhaseStatus.CHANGES_REQUESTED: "asks for changes",
    PhaseStatus.FAILED: "failed",
    PhaseStatus.CANCELLED: "cancelled",
}


class Tone(StrEnum):
    HEADING = "heading"
    STARTED = "started"
    GOOD = "good"
    BAD = "bad"
    NOTE = "note"
    WHY = "why"
    QUOTE = "quote"


def clean(text: str) -> str:
    """Without control characters: what a command or provider prints must not steer the terminal."""
    return "".join(char for char in text.expandtabs() if char.isprintable())


class Line(Frozen):
    tone: Tone
    text: Annotated[str, AfterValidator(clean)]


class Progress:
    """Remembers what it told: the same view twice gives nothing the second time."""

    def __init__(self) -> None:
        self._told: set[object] = set()

    def update(self, view: RunView) -> list[Line]:
        lines: list[Line] = []
        for attempt in (attempt for phase in view.phases for attempt in phase.attempts):
            if attempt.iteration and self._first("iteration", attempt.iteration):
                lines.append(Line(tone=Tone.HEADING, text=f"Iteration {attempt.iteration}"))
            lines += self._about(attempt)
        if view.cancel_requested_at and self._first("cancel"):
            lines.append(Line(tone=Tone.NOTE, text="cancel requested"))
        if view.delivery_problem and self._first("delivery", view.delivery_problem):
            lines.append(Line(tone=Tone.NOTE, text=f"{UNDELIVERED}: {view.delivery_problem}"))
        return lines

    def _first(self, *what: object) -> bool:
        if what in self._told:
            return False
        self._told.add(what)
        return True

    def _about(self, attempt: AttemptView) -> list[Line]:
        lines: list[Line] = []
        name = name_of(attempt)
        for execution in attempt.executions:
            if execution.status in (ExecutionStatus.LOST, ExecutionStatus.FAILED) and self._first(execution.id):
                why = execution.error.message if execution.error else "its worker died"
                lines.append(Line(tone=Tone.NOTE, text=f"{name}: execution {execution.number} is over: {why}"))
        match attempt.status:
            case PhaseStatus.WAITING if attempt.waiting_reason and self._first(attempt.id, attempt.waiting_reason):
                lines.append(Line(tone=Tone.NOTE, text=f"{name} {WAITING[attempt.waiting_reason]}"))
            case PhaseStatus.RUNNING if self._first(attempt.id, "running", len(attempt.executions)):
                lines.append(Line(tone=Tone.STARTED, text=f"{name} started"))
            case status if status in ENDED and self._first(attempt.id, "ended"):
                lines += _ended(attempt, name)
        return lines


def name_of(attempt: AttemptView) -> str:
    name = f"{attempt.phase} (automated)" if attempt.kind == PhaseKind.REVIEW else attempt.phase
    return f"{name}, attempt {attempt.attempt}" if attempt.attempt > 1 else name


def _ended(attempt: AttemptView, name: str) -> list[Line]:
    good = attempt.status is PhaseStatus.PASSED
    about = [ENDED[attempt.status], *_usage(attempt)]
    if attempt.status is PhaseStatus.FAILED and attempt.fingerprint and (tests := label(attempt.fingerprint)):
        about.append(tests)
    if attempt.commit:
        about.append(attempt.commit.line)
    if attempt.branch and good:
        about.append(f"branch {attempt.branch}")
    tone = Tone.GOOD if good else Tone.BAD
    lines = [Line(tone=tone, text=f"{name:<{NAME_WIDTH}} {'   '.join(about)}")]
    if attempt.status is PhaseStatus.CHANGES_REQUESTED:
        lines += [Line(tone=Tone.QUOTE, text=text) for text in shown_lines(attempt.summary, COMMENT_LINES)]
    elif attempt.error:
        lines.append(Line(tone=Tone.WHY, text=f"  {attempt.error.message}"))
        lines += [Line(tone=Tone.QUOTE, text=text) for text in shown_lines(attempt.error.excerpt, EXCERPT_LINES)]
        if attempt.error.hint:
            lines.append(Line(tone=Tone.WHY, text=f"  → {attempt.error.hint}"))
    return lines


def _usage(attempt: AttemptView) -> list[str]:
    parts: list[str] = []
    if attempt.started_at and attempt.finished_at:
        parts.append(seconds((attempt.finished_at - attempt.started_at).total_seconds()))
    if attempt.turns:
        parts.append("1 turn" if attempt.turns == 1 else f"{attempt.turns} turns")
    tokens = attempt.usage.tokens_in + attempt.usage.tokens_out
    if tokens:
        parts += [f"{tokens:,} tokens", money(attempt.usage.cost_usd)]
    return parts


def shown_lines(text: str, limit: int) -> list[str]:
    """The last lines that are not empty."""
    kept = [line for raw in text.splitlines() if (line := clean(raw).rstrip())]
    return [f"  │ {line}" for line in kept[-limit:]]


def ending(view: RunView) -> str:
    """The outcome in one sentence."""
    if view.outcome_kind is None:
        return view.status.value.capitalize()
    outcome = Outcome(
        kind=view.outcome_kind,
        detail=view.outcome_detail,
        error=view.error,
        protected_changed=view.protected_changed,
    )
    return clean(headline(outcome))


def last_commit(view: RunView) -> CommitFacts | None:
    commits = [a.commit for phase in view.phases for a in phase.attempts if a.commit and not a.stale]
    return commits[-1] if commits else None


def final_lines(view: RunView, page: str) -> list[tuple[str, str]]:
    """(what, value) of a run's end."""
    lines = [("Outcome", _outcome(view)), ("Iterations", str(view.iterations))]
    if commit := last_commit(view):
        lines.append(("Commit", commit.line))
    if view.delivered_branch:
        where = f" in {view.repo_path}" if view.repo_path else ""
        lines.append(("Branch", f"{view.delivered_branch}{where}"))
    tokens = view.usage.tokens_in + view.usage.tokens_out
    lines.append(("Used", f"{tokens:,} tokens, {money(view.usage.cost_usd)}"))
    lines += [("To know", warning) for warning in view.warnings]
    if view.delivery_problem:
        lines.append(("Not sent", f"{UNDELIVERED}: {view.delivery_problem}"))
        lines.append(("What to do", "It is tried again by itself; `millwright doctor` says what Temporal lacks."))
    if view.error and view.error.hint and view.outcome_kind is not OutcomeKind.CANCELLED:
        lines.append(("What to do", view.error.hint))
    lines.append(("Page", page))
    return [(what, clean(value)) for what, value in lines]


def _outcome(view: RunView) -> str:
    if view.outcome_kind is None:
        return view.status
    return f"{view.outcome_kind}({view.outcome_detail})" if view.outcome_detail else view.outcome_kind


def money(usd: Decimal | None) -> str:
    return "unknown cost" if usd is None else f"${usd:.4f}"


def seconds(value: float) -> str:
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(int(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
