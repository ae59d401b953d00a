"""One grant: whose calls these are, which models they may name, what they have used, and how they end."""

import asyncio
import re
from decimal import Decimal
from typing import Literal

from activities.models.calls import ModelCalls
from domain.errors import Unavailable
from domain.gateway.ports import GRANTED_MODEL, GatewayGrant, GatewayUse
from domain.gateway.wire import Forwarding, WireAnswer, WireRequest
from domain.models.messages import AnsweredCall, CallRefused, CallScope, Message, ModelReply, Speaker, TokenUsage
from domain.runs.failure import ErrorKind, PhaseError

_CALL_SECONDS = 1_800.0
"""Of one call: longer than any answer, short enough that a hanging connection does not hold an agent for ever."""
_OUTPUT_TOKENS = 32_000
"""Reserved for a call whose client sets no limit."""
_IMAGE_CHARACTERS = "x" * 6_000
"""What an image is reserved with, as text (3,000 tokens), in place of its bytes."""
_IMAGE = re.compile(
    r'(?:data:image/[\w.+-]{1,40};base64,|"media_type"\s{0,9}:\s{0,9}"image/[^"]{1,40}"\s{0,9},\s{0,9}"data"\s{0,9}:'
    r'\s{0,9}")[A-Za-z0-9+/=\\]+'
)


class Granted:
    """WireClient of one grant."""

    def __init__(self, grant: GatewayGrant, calls: ModelCalls, forwarding: Forwarding) -> None:
        self._grant = grant
        self._calls = calls
        self._forwarding = forwarding
        self._running: set[asyncio.Task[AnsweredCall]] = set()
        self._count = 0
        self._over = asyncio.Event()
        self.use = GatewayUse()

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self._grant.model, *self._grant.also_allowed)))

    async def ask(self, asked: WireRequest, answer: WireAnswer) -> ModelReply:
        model = self._model(asked.model)
        if self._over.is_set():
            raise CallRefused(_ended())
        if not asked.operation:
            self._hold_to_caps()
        self._count += 1
        task = asyncio.ensure_future(self._call(self._count, model, asked, answer))
        self._running.add(task)
        self._note(in_flight=len(self._running), calls=self.use.calls + (not asked.operation))
        try:
            answered = await task
        except asyncio.CancelledError:
            self._used(None, cost_usd=None, trouble=_cancelled())
            if self._over.is_set() and not _being_cancelled():
                raise CallRefused(_ended()) from None
            raise
        except CallRefused as refused:
            usage = refused.reply.usage if refused.reply else None
            unknown = refused.maybe_billed or usage is not None
            self._used(usage, cost_usd=None if unknown else Decimal(0), trouble=refused.error)
            raise
        except Unavailable as error:
            self._note(trouble=PhaseError(kind=ErrorKind.STORAGE, message=error.message, hint=error.hint))
            raise
        finally:
            task.cancel()
            self._running.discard(task)
            self._note(in_flight=len(self._running))
        self._answered(answered)
        return answered.reply

    async def end(self, seconds: float) -> None:
        """No call begins from now on; those in flight are cancelled, and recorded within `seconds`."""
        self._over.set()
        running = set(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=seconds)
            await asyncio.sleep(0)  # whoever awaits them counts them first

    async def _call(self, number: int, model: str, asked: WireRequest, answer: WireAnswer) -> AnsweredCall:
        grant = self._grant
        counting = asked.operation == "count_tokens"
        scope = CallScope(
            org_id=grant.org_id,
            run_id=grant.run_id,
            execution_id=grant.execution_id,
            attempt_id=grant.attempt_id,
            step_key=f"gateway#{grant.execution_id.hex[:12]}#{number}",
            title="count tokens" if counting else f"{grant.role} call {number} ({asked.format.value})",
            run_tokens=grant.run_tokens,
            run_usd=grant.run_usd,
        )
        estimate = "" if counting else _IMAGE.sub(_IMAGE_CHARACTERS, asked.body.decode("utf-8", "replace"))
        return await self._calls.call(
            scope,
            model,
            messages=(Message(speaker=Speaker.USER, text=estimate),),
            role=grant.role,
            turn=number,
            iteration=grant.iteration,
            max_output_tokens=0 if counting else asked.max_output_tokens or _OUTPUT_TOKENS,
            timeout_seconds=_CALL_SECONDS,
            via=self._forwarding.provider(asked, answer),
        )

    def _model(self, named: str) -> str:
        """The full name of what the client calls so. Raises CallRefused by name for any other."""
        if named in ("", GRANTED_MODEL):
            return self._grant.model
        for model in self.models:
            if named in (model, model.partition(":")[2]):
                return model
        refused = PhaseError(
            kind=ErrorKind.POLICY_BLOCKED,
            message=f"Model `{named}` is not granted to this execution.",
            hint=f"It may use: {', '.join(self.models)} (or `{GRANTED_MODEL}` for the first).",
        )
        self._note(trouble=refused)
        raise CallRefused(refused)

    def _hold_to_caps(self) -> None:
        grant, use = self._grant, self.use
        caps: tuple[tuple[Literal["calls", "tokens", "cost"], Decimal | int, Decimal | int | None], ...] = (
            ("calls", use.calls, grant.max_calls),
            ("tokens", use.tokens_in + use.tokens_out, grant.max_tokens),
            ("cost", use.cost_usd or Decimal(0), grant.max_usd),
        )
        for name, used, cap in caps:
            if cap is None or used < cap:
                continue
            refused = PhaseError(
                kind=ErrorKind.QUOTA_EXHAUSTED,
                message=f"This phase's own limit is used up: {used} of {cap} ({name}).",
                hint="The agent has to end; raise the phase's limit in the pipeline if its work needs more.",
            )
            self._note(trouble=refused, exhausted=name)
            raise CallRefused(refused)

    def _answered(self, answered: AnsweredCall) -> None:
        self._used(answered.reply.usage, cost_usd=answered.cost_usd, trouble=None)
        seconds = answered.times.api_seconds if answered.times else 0.0
        model = answered.reply.model_answered or self.use.model_answered
        self._note(api_seconds=self.use.api_seconds + seconds, model_answered=model)

    def _used(self, usage: TokenUsage | None, *, cost_usd: Decimal | None, trouble: PhaseError | None) -> None:
        use, used = self.use, usage or TokenUsage()
        self._note(
            tokens_in=use.tokens_in + (used.tokens_in or 0),
            tokens_out=use.tokens_out + (used.tokens_out or 0),
            tokens_cached=use.tokens_cached + (used.tokens_cached or 0),
            cost_usd=None if use.cost_usd is None or cost_usd is None else use.cost_usd + cost_usd,
            trouble=trouble,
        )

    def _note(self, **changed: object) -> None:
        self.use = self.use.model_copy(update=changed)


def _being_cancelled() -> bool:
    """Whether it is the asking task itself that was cancelled (its client has gone), not only the call."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _ended() -> PhaseError:
    return PhaseError(
        kind=ErrorKind.WORKER_LOST,
        message="The execution that this token was for has ended.",
        hint="Nothing to do: a newer execution has a token of its own.",
    )


def _cancelled() -> PhaseError:
    return PhaseError(
        kind=ErrorKind.CANCELLED,
        message="The agent, or its phase, ended the call before the answer was there.",
        hint="Its cost is unknown; the provider may bill it.",
    )
