"""The one path of every model call: policy, begin_call, provider, answer kept, end_call (DESIGN 6).

Phases, experiments, evaluators, probes and the gateway call models here and nowhere else: an architecture test shows
that adapters are reached from this package only. What is asked again under its step key is answered from the record.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from time import monotonic
from typing import Any
from uuid import UUID

from activities.models.answer import Answer
from activities.models.holding import hold
from activities.models.recording import record
from activities.models.refusals import fenced, lost_reply, money, policy_in_motion, wait
from activities.models.settling import Settlement
from activities.models.shielding import to_its_end
from activities.models.telemetry import CallMetrics, CallTelemetry, log
from domain.artifacts.ports import ArtifactStore
from domain.errors import MillwrightError, Unavailable
from domain.failpoints import Failpoints, NoFailpoints, Point
from domain.models.admission import Admitted, admit
from domain.models.choice import ModelDefaults, StageModels
from domain.models.messages import (
    AnsweredCall,
    CallRefused,
    CallScope,
    CallTimes,
    Message,
    ModelRequest,
    TokenUsage,
    ToolSpec,
)
from domain.models.policy import Policy, ProviderKind
from domain.models.ports import (
    BeginOutcome,
    BegunCall,
    CallFenced,
    CallLedger,
    CallMustWait,
    ModelProvider,
    MoneyRefused,
    PolicyChanged,
    RepeatedCall,
)
from domain.models.prices import BILLED, PriceTable
from domain.models.reply_body import read_reply
from domain.redaction import Redactor
from domain.runs.failure import PhaseError

_POLICY_ROUNDS = 5
"""Decisions on a policy that changes between decision and begin_call, before the call is refused."""

_DEFAULTS_SECONDS = 2.0
"""How old an organization's choice of models may be. (What is allowed is compared at each call.)"""


class ModelCalls:
    """One per process; safe for concurrent callers. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        *,
        ledger: CallLedger,
        providers: Mapping[ProviderKind, ModelProvider],
        artifacts: ArtifactStore,
        redactor: Redactor,
        prices: PriceTable,
        metrics: CallMetrics,
        failpoints: Failpoints | None = None,
        stage_models: StageModels | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._ledger = ledger
        self._providers = providers
        self._artifacts = artifacts
        self._redactor = redactor
        self._prices = prices
        self._telemetry = CallTelemetry(metrics)
        self._failpoints = failpoints or NoFailpoints()
        self._stage_models = stage_models or StageModels()
        self._clock = clock
        self._policies: dict[UUID, tuple[Policy, float]] = {}

    async def defaults(self, org_id: UUID) -> ModelDefaults:
        """What stands behind a run and its pipeline when a model is chosen: the policy at most 2 s old."""
        policy, read_at = self._policies.get(org_id, (None, 0.0))
        if policy is None or self._clock() - read_at > _DEFAULTS_SECONDS:
            policy = await self._newest_policy(org_id)
        return ModelDefaults(policy=policy, environment=self._stage_models)

    async def call(
        self,
        scope: CallScope,
        model: str,
        *,
        messages: tuple[Message, ...],
        tools: tuple[ToolSpec, ...] = (),
        role: str,
        turn: int = 1,
        iteration: int = 1,
        max_output_tokens: int = 16_000,
        timeout_seconds: float = 600.0,
        json_schema: dict[str, object] | None = None,
        seed: int | None = None,
        via: ModelProvider | None = None,
        settlement: Settlement | None = None,
    ) -> AnsweredCall:
        """Asks `provider:model`. Raises CallRefused with a closed error kind, Unavailable when the record does not
        answer, and CancelledError after the call was recorded as cancelled. `via` asks in place of the kind's own
        adapter: the gateway, which passes a client's bytes on. With a `settlement` the end of an answered call is
        left to the transaction that ends the phase."""
        asked = self._clock()
        admitted, begun = await self._begin(scope, model, messages, tools, max_output_tokens, asked)
        if isinstance(begun, RepeatedCall):
            return await self._repeated(scope, model, begun)
        permitted = self._clock()
        request = ModelRequest(
            model=admitted.terms.model,
            messages=messages,
            role=role,
            turn=turn,
            iteration=iteration,
            max_output_tokens=max_output_tokens,
            timeout_seconds=timeout_seconds,
            json_schema=json_schema,
            seed=seed,
            tools=tools,
        )
        with self._telemetry.call(admitted, request) as told:
            answer = await self._ask(scope, begun, admitted, request, via)
            answered = self._clock()
            queue, api = permitted - asked, answered - permitted

            def times() -> CallTimes:
                return CallTimes(queue_seconds=queue, api_seconds=api, run_seconds=self._clock() - answered)

            def recording() -> Coroutine[Any, Any, Answer]:
                return record(self._ledger, self._artifacts, scope, begun, answer, times)

            if settlement is not None and answer.is_small:
                settlement.leave(lambda: answer.end(begun, times()), recording)
                taken = times()
            else:
                answer = await to_its_end(recording())
                self._failpoints.hit(Point.CALL_AFTER_END)
                taken = times()
            told.ended(answer, taken)
        if answer.cancelled is not None:
            raise answer.cancelled
        if answer.error is not None or answer.reply is None:
            raise CallRefused(answer.error or fenced(model), maybe_billed=answer.cost_usd is None, reply=answer.reply)
        return AnsweredCall(
            reply=answer.reply,
            cost_usd=answer.cost_usd,
            price_version=answer.price_version,
            step_id=begun.step_id,
            model_asked=model,
            reply_sha256=answer.sha256,
            times=taken,
        )

    async def _begin(
        self,
        scope: CallScope,
        model: str,
        messages: tuple[Message, ...],
        tools: tuple[ToolSpec, ...],
        max_output_tokens: int,
        asked: float,
    ) -> tuple[Admitted, BegunCall | RepeatedCall]:
        cached = self._policies.get(scope.org_id)
        fresh = cached is None
        policy = await self._newest_policy(scope.org_id) if cached is None else cached[0]
        for _ in range(_POLICY_ROUNDS):
            admitted = admit(policy, self._prices, scope, model, messages, max_output_tokens, tools)
            if isinstance(admitted, PhaseError):
                if fresh:
                    raise CallRefused(admitted)
                policy, fresh = await self._newest_policy(scope.org_id), True
                continue
            begun = await self._begin_or_undo(scope, admitted, asked)
            match begun:
                case PolicyChanged():
                    policy, fresh = self._keep(scope.org_id, begun.policy), True
                case BegunCall() | RepeatedCall():
                    return admitted, begun
                case CallMustWait():
                    raise CallRefused(wait(begun))
                case MoneyRefused():
                    raise CallRefused(money(begun))
                case CallFenced():
                    raise CallRefused(fenced(model))
        raise CallRefused(policy_in_motion(model))

    async def _begin_or_undo(self, scope: CallScope, admitted: Admitted, asked: float) -> BeginOutcome:
        """A caller that is cancelled while begin_call is on its way leaves no open call behind."""
        task = asyncio.ensure_future(
            self._ledger.begin_call(scope, admitted.terms, waited_seconds=lambda: self._clock() - asked)
        )
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError as cancelled:
            await to_its_end(self._undo(scope, admitted, task, cancelled, asked))
            raise

    async def _undo(
        self,
        scope: CallScope,
        admitted: Admitted,
        task: asyncio.Future[BeginOutcome],
        cancelled: asyncio.CancelledError,
        asked: float,
    ) -> None:
        try:
            begun = await task
            if isinstance(begun, BegunCall):
                times = CallTimes(queue_seconds=self._clock() - asked, api_seconds=0.0, run_seconds=0.0)
                answer = Answer.of_cancelled(cancelled, admitted, self._prices, sent=False)
                await record(self._ledger, self._artifacts, scope, begun, answer, lambda: times)
        except Unavailable as error:
            log.warning("call.cancelled_without_record", step_key=scope.step_key, problem=error.message)

    async def _ask(
        self,
        scope: CallScope,
        begun: BegunCall,
        admitted: Admitted,
        request: ModelRequest,
        via: ModelProvider | None,
    ) -> Answer:
        """The provider's answer or failure, as a value. Nothing of a foreign exception gets past this place."""
        self._failpoints.hit(Point.CALL_AFTER_BEGIN)
        provider = via or self._providers[admitted.provider.kind]
        try:
            reply = await hold(
                provider.call(request, admitted.provider),
                renew=lambda: self._ledger.renew_call(scope, begun),
                timeout_seconds=request.timeout_seconds,
                what=f"{admitted.provider.name}:{request.model}",
            )
        except asyncio.CancelledError as cancelled:
            return Answer.of_cancelled(cancelled, admitted, self._prices, sent=True)
        except Exception as error:  # noqa: BLE001 - whatever a provider's library raises becomes a closed kind here
            return Answer.of_failure(error, admitted, self._prices, self._redactor)
        self._failpoints.hit(Point.CALL_AFTER_ANSWER)
        return Answer.of_reply(reply, admitted, self._prices, self._redactor)

    async def _repeated(self, scope: CallScope, model: str, found: RepeatedCall) -> AnsweredCall:
        body = found.body
        if body is None:
            try:
                body = await self._artifacts.get(scope.org_id, found.reply_sha256)
            except MillwrightError as error:
                raise CallRefused(lost_reply(model, error)) from None
        usage = TokenUsage(
            tokens_in=found.tokens_in,
            tokens_out=found.tokens_out,
            tokens_cached=found.tokens_cached,
            billed_usd=found.cost_usd if found.price_version == BILLED else None,
        )
        named = {"model_answered": found.model_answered, "provider_response_id": found.provider_response_id}
        return AnsweredCall(
            reply=read_reply(body, usage).model_copy(update=named),
            cost_usd=found.cost_usd,
            price_version=found.price_version,
            repeated=True,
            step_id=found.step_id,
            model_asked=model,
            reply_sha256=found.reply_sha256,
        )

    async def _newest_policy(self, org_id: UUID) -> Policy:
        return self._keep(org_id, await self._ledger.policy(org_id))

    def _keep(self, org_id: UUID, policy: Policy) -> Policy:
        self._policies[org_id] = (policy, self._clock())
        return policy
