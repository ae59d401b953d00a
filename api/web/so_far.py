"""What the phase that runs has used until now: totals count a phase when it ends, and an agent works for hours."""

from decimal import Decimal

from api.web import words
from domain.runs.views import AttemptView, StepView, UsageView
from domain.runs.words import StepKind, StepStatus


def _answered(running: AttemptView | None) -> list[StepView]:
    """Calls of the execution that lives; an earlier one's are in the totals."""
    live = [each for each in running.executions if each.ended_at is None] if running else []
    return [
        step
        for execution in live
        for step in execution.steps
        if step.kind is StepKind.MODEL_CALL and step.status is not StepStatus.RUNNING
    ]


def used_so_far(running: AttemptView | None) -> UsageView | None:
    """None: no call was answered yet, or no phase runs."""
    steps = _answered(running)
    if not steps:
        return None
    known = [step.cost_usd for step in steps if step.cost_usd is not None]
    total = sum(known, Decimal(0))
    return UsageView(
        tokens_in=sum(step.tokens_in or 0 for step in steps),
        tokens_out=sum(step.tokens_out or 0 for step in steps),
        tokens_cached=sum(step.tokens_cached or 0 for step in steps),
        cost_usd=total if len(known) == len(steps) else None,
        known_cost_usd=total,
        api_seconds=sum(step.api_seconds or 0.0 for step in steps),
    )


def models_so_far(running: AttemptView | None) -> list[str]:
    """In the order of first use."""
    return list(dict.fromkeys(words.model(step.model_asked, step.model_answered) for step in _answered(running)))
