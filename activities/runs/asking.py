"""One model call of a phase: on the one path of every call, ended at once when the phase must stop."""

from decimal import Decimal

from activities.models.calls import ModelCalls
from activities.runs.context import SUMMARY_LIMIT, PhaseContext, Work
from activities.runs.prompting import Prompted, Prompting, model_for, turn_of
from domain.artifacts.ports import ArtifactStore
from domain.base import Frozen
from domain.models.messages import AnsweredCall, CallScope
from domain.runs.limits import run_limits
from domain.runs.ports import ArtifactRef, Usage


class Asked(Frozen):
    """The reply as text, and what of it goes into the phase's Work whatever the reading of it says."""

    text: str
    work: Work


class Asking:
    """Where the phase touches no worktree, nothing but its own end follows the answer: both are recorded together."""

    def __init__(self, *, calls: ModelCalls, prompting: Prompting, artifacts: ArtifactStore) -> None:
        self._calls = calls
        self._prompting = prompting
        self._artifacts = artifacts

    async def ask(self, context: PhaseContext, spec: Prompted, *, json_schema: dict[str, object] | None) -> Asked:
        model = model_for(context, spec, await self._calls.defaults(context.key.org_id))
        answered = await context.stop.race(
            self._calls.call(
                call_scope(context, "call#1", f"{spec.role}: {model}"),
                model,
                messages=await self._prompting.messages(context, spec),
                role=spec.role,
                turn=turn_of(context),
                iteration=turn_of(context),
                max_output_tokens=spec.max_output_tokens,
                timeout_seconds=context.phase.time_limit_seconds,
                json_schema=json_schema,
                settlement=context.settlement if context.worktree is None else None,
            )
        )
        text = answered.reply.text
        if not answered.repeated:
            context.output.keep(text if text.endswith("\n") else f"{text}\n")
        work = Work(
            summary=text,
            usage=usage_of(answered),
            model_asked=model,
            model_answered=answered.reply.model_answered,
            artifacts=await self._kept(context, text),
        )
        return Asked(text=text, work=work)

    async def _kept(self, context: PhaseContext, text: str) -> tuple[ArtifactRef, ...]:
        """A reply that the summary holds whole needs no second copy."""
        if len(text) <= SUMMARY_LIMIT:
            return ()
        body = text.encode()
        digest = await self._artifacts.put(context.key.org_id, body)
        return (ArtifactRef(sha256=digest, size_bytes=len(body), name="reply"),)


def call_scope(context: PhaseContext, step_key: str, title: str) -> CallScope:
    """For whom a call of this execution is made, under the run's own limits."""
    limits = run_limits(context.run.pipeline.limits, context.run.settings.limits)
    return CallScope(
        org_id=context.key.org_id,
        run_id=context.run.run_id,
        execution_id=context.lease.execution_id,
        attempt_id=context.lease.attempt_id,
        step_key=step_key,
        title=title,
        run_tokens=limits.tokens,
        run_usd=limits.cost_usd,
    )


def usage_of(answered: AnsweredCall) -> Usage:
    """A repeated call was paid by an earlier execution of this attempt: the attempt's usage counts it once."""
    usage, times = answered.reply.usage, answered.times
    cost: Decimal | None = answered.cost_usd
    return Usage(
        tokens_in=usage.tokens_in or 0,
        tokens_out=usage.tokens_out or 0,
        tokens_cached=usage.tokens_cached or 0,
        cost_usd=cost,
        api_seconds=times.api_seconds if times else 0.0,
    )
