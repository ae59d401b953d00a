"""What an external agent may call: the grant of one execution, under the caps of the attempt."""

from collections.abc import Iterable

from activities.runs.context import PhaseContext
from activities.runs.prompting import turn_of
from domain.agents.caps import CallCost, Cap, Spent, spent
from domain.gateway.ports import GatewayGrant
from domain.pipelines.spec import AgentPhase
from domain.runs.limits import run_limits


def spent_by(calls: Iterable[CallCost]) -> Spent:
    costs = [cost for cost in calls if _was_a_turn(cost)]
    return spent(len(costs), costs, 0.0)


def grant(context: PhaseContext, spec: AgentPhase, model: str, before: Spent) -> GatewayGrant:
    limits = run_limits(context.run.pipeline.limits, context.run.settings.limits)
    used = before.cost_usd
    return GatewayGrant(
        org_id=context.key.org_id,
        run_id=context.run.run_id,
        attempt_id=context.lease.attempt_id,
        execution_id=context.lease.execution_id,
        role=spec.role,
        iteration=turn_of(context),
        model=model,
        run_tokens=limits.tokens,
        run_usd=limits.cost_usd,
        max_calls=spec.max_turns - before.turns,
        max_tokens=None if spec.max_tokens is None else spec.max_tokens - before.tokens,
        max_usd=None if spec.max_cost_usd is None or used is None else spec.max_cost_usd - used,
    )


def _was_a_turn(cost: CallCost) -> bool:
    """Counting tokens is a step, too, that uses and costs nothing."""
    return cost.tokens > 0 or cost.cost_usd is None or cost.cost_usd > 0


def none_left(spec: AgentPhase, before: Spent) -> Cap | None:
    """A cap that earlier executions used up. An unknown cost cannot be kept under one."""
    if before.turns >= spec.max_turns:
        return Cap.TURNS
    if spec.max_tokens is not None and before.tokens >= spec.max_tokens:
        return Cap.TOKENS
    if spec.max_cost_usd is not None and (before.cost_usd is None or before.cost_usd >= spec.max_cost_usd):
        return Cap.COST
    return None
