"""What the phase that runs has used until now: totals count a phase when it ends, and an agent works for hours."""

from collections.abc import Iterable
from decimal import Decimal

from api.web import words
from domain.runs.views import AttemptView, ExecutionView, StepView, UsageView
from domain.runs.words import StepKind, StepStatus


def used_so_far(running: AttemptView | None) -> UsageView | None:
    """None: no call was answered yet, or no phase runs. Earlier executions of the attempt are in the totals."""
    steps = _answered(each for each in running.executions if each.ended_at is None) if running else []
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


def models_of(attempt: AttemptView) -> list[str]:
    """Its own, which it has when its phase ended by itself; else those of its answered calls."""
    if attempt.model_asked is not None:
        return [words.model(attempt.model_asked, attempt.model_answered)]
    return [words.model(step.model_asked, step.model_answered) for step in _answered(attempt.executions)]


def _answered(executions: Iterable[ExecutionView]) -> list[StepView]:
    return [
        step
        for execution in executions
        for step in execution.steps
        if step.kind is StepKind.MODEL_CALL and step.status is not StepStatus.RUNNING and step.model_asked is not None
    ]
