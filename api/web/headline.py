"""A run in one sentence: what happened, why, and what now."""

from typing import NamedTuple

from api.web.format import duration
from domain.runs.views import AttemptView, RunView
from domain.runs.words import OutcomeKind, RunStatus, WaitReason


class Headline(NamedTuple):
    tone: str
    what: str
    why: str = ""
    excerpt: str = ""
    next: str = ""


WAITS: dict[WaitReason, str] = {
    WaitReason.NO_PERMIT: "every executor permit is held by another phase",
    WaitReason.PAUSED: "new phases are paused",
    WaitReason.COOLING: "the provider is cooling down",
    WaitReason.RATE_LIMIT: "a rate limit is used up",
}

_ENDS: dict[OutcomeKind, str] = {
    OutcomeKind.MAX_ITERATIONS: "Failed: no iteration passed within the limit",
    OutcomeKind.MAX_CONSECUTIVE_FAILURES: "Failed: {detail} failed again and again with the same error",
    OutcomeKind.MAX_FAILURES: "Failed: {detail} failed too often",
    OutcomeKind.STUCK: "Failed: {detail} got stuck",
    OutcomeKind.BUDGET_EXCEEDED: "Failed: the {detail} budget is used up",
    OutcomeKind.PROVIDER_UNAVAILABLE: "Failed: the provider stayed unavailable",
    OutcomeKind.POLICY_BLOCKED: "Failed: the organization's policy does not allow it",
    OutcomeKind.REJECTED: "Failed: {detail} was rejected",
    OutcomeKind.PHASE_ERROR: "Failed: {detail} could not do its work",
    OutcomeKind.INVALID_INPUT: "Failed: the input is not valid",
    OutcomeKind.ORPHANED: "Failed: its workflow is gone",
}


def place(iteration: int | None, phase: str | None) -> str:
    """`Iteration 2 - verify`; only the phase outside the loop."""
    if phase is None:
        return ""
    return f"Iteration {iteration} - {phase}" if iteration else phase


def headline(run: RunView, running: AttemptView | None) -> Headline:
    """`running` is the one attempt that runs now, if one does."""
    if run.status.is_final:
        return _end(run)
    asked = "Cancelling: " if run.cancel_requested_at else ""
    if run.delivery_problem:
        what = f"{asked or run.status.capitalize() + ': '}Temporal could not be given what was asked yet"
        return Headline("warn", what, run.delivery_problem, next=_UNDELIVERED_NEXT)
    if run.status is RunStatus.QUEUED:
        return Headline("idle", f"{asked or 'Queued: '}no worker has taken it yet", next=_QUEUED_NEXT)
    if run.status is RunStatus.WAITING:
        why = WAITS.get(run.waiting_reason, "") if run.waiting_reason else ""
        until = f"; it looks again at {run.waiting_until:%H:%M:%S} UTC" if run.waiting_until else ""
        what = f"{asked or 'Waiting: '}{place(run.current_iteration, run.current_phase) or 'the run'} cannot go on yet"
        return Headline("warn", what, why + until, next="The operations page shows who holds what since when.")
    if running is not None:
        return Headline("busy", f"{asked or 'Running: '}{place(running.iteration, running.phase)}")
    return Headline("busy", f"{asked or 'Running: '}between two phases")


_UNDELIVERED_NEXT = "It is tried again by itself; `millwright doctor` and `/readyz` say what Temporal lacks."
_QUEUED_NEXT = "It starts by itself as soon as a worker is up and free; the operations page lists the workers."


def _end(run: RunView) -> Headline:
    if run.outcome_kind is OutcomeKind.VERIFIED:
        rounds = (
            f" in {run.iterations} {'iteration' if run.iterations == 1 else 'iterations'}" if run.iterations else ""
        )
        return Headline("good", f"Verified{rounds}: the tests pass on the final tree", _took(run), next=_delivered(run))
    if run.outcome_kind is OutcomeKind.COMPLETED:
        why = "it changed protected files" if run.protected_changed else "no verification stands behind it"
        return Headline("good", f"Completed: {why}", _took(run), next=_delivered(run))
    if run.outcome_kind is OutcomeKind.CANCELLED:
        return Headline("idle", "Cancelled", run.error.message if run.error else _took(run))
    text = _ENDS.get(run.outcome_kind, "Failed") if run.outcome_kind else "Failed"
    what = text.format(detail=run.outcome_detail or "a phase")
    if run.error is None:
        return Headline("bad", what, _took(run))
    return Headline("bad", what, f"{run.error.message} ({run.error.kind})", run.error.excerpt, run.error.hint)


def _took(run: RunView) -> str:
    if run.started_at is None or run.finished_at is None:
        return ""
    return f"It took {duration((run.finished_at - run.started_at).total_seconds())}."


def _delivered(run: RunView) -> str:
    return f"Review the branch {run.delivered_branch} in your repository." if run.delivered_branch else ""
