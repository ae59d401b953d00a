"""The port of a provider, and the port of the record on the one path of every model call."""

from decimal import Decimal
from typing import Protocol
from uuid import UUID

from domain.base import Frozen
from domain.models.messages import CallScope, CallTimes, ModelReply, ModelRequest
from domain.models.policy import Policy, ProviderSettings
from domain.runs.failure import PhaseError


class ModelProvider(Protocol):
    """Adapter of one provider kind. Its own retries are off. Raises CallRefused with a closed error kind."""

    async def call(self, request: ModelRequest, settings: ProviderSettings) -> ModelReply: ...


class BegunCall(Frozen):
    """The step row, counters, permit and reservation are committed."""

    step_id: UUID
    token: UUID


class RepeatedCall(Frozen):
    """This step key was answered before; the body lies in the artifact store."""

    reply_sha256: str
    cost_usd: Decimal | None
    model_answered: str | None
    tokens_in: int | None
    tokens_out: int | None
    tokens_cached: int | None


class PolicyChanged(Frozen):
    """The caller decided on an old version; decide anew on this one."""

    policy: Policy


class CallMustWait(Frozen):
    """A request, token or concurrency limit is used up, or the provider cools, for so long."""

    seconds: float
    reason: str


class MoneyRefused(Frozen):
    """The organization's or the run's money or token limit would be overshot."""

    limit: str
    message: str


class CallLedger(Protocol):
    """begin_call and end_call of DESIGN 6: one database round trip each."""

    async def policy(self, org_id: UUID) -> Policy:
        """The newest policy (cached by the caller by its version)."""
        ...

    async def begin_call(
        self,
        scope: CallScope,
        request: ModelRequest,
        *,
        provider: str,
        policy_version: int,
        reserve_usd: Decimal | None,
        reserve_tokens: int,
    ) -> BegunCall | RepeatedCall | PolicyChanged | CallMustWait | MoneyRefused:
        """Atomically: answered before? policy version; requests/min, tokens/min, concurrent, monthly money and
        the run's own limits; permit, reservation, step row (written before the call)."""
        ...

    async def end_call(
        self,
        scope: CallScope,
        call: BegunCall,
        *,
        times: CallTimes,
        reply: ModelReply | None,
        reply_sha256: str | None,
        cost_usd: Decimal | None,
        price_version: str | None,
        error: PhaseError | None,
    ) -> None:
        """Answer's hash, usage, cost or error; releases the permit; settles the reservation (an unknown cost
        keeps it counting)."""
        ...
