"""The port of a provider, and the port of the record on the one path of every model call."""

from collections.abc import Callable
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


class CallTerms(Frozen):
    """What the caller decided on its cached policy; `begin_call` holds the call to it when the version still stands."""

    provider: str
    model: str
    """Without the provider's prefix."""
    policy_version: int
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    monthly_usd: Decimal | None = None
    reserve_tokens: int = 0
    """Upper estimate of input and output tokens."""
    reserve_usd: Decimal | None = None
    """Upper estimate of the cost; None: unpriced (refused before `begin_call` where a money limit stands)."""


class BegunCall(Frozen):
    """The step row, counters, permit and reservation are committed."""

    step_id: UUID
    token: UUID
    model: str = ""
    """`provider:model` as asked."""


class CallEnd(Frozen):
    """An answered call as its row keeps it: written by `end_call`, or by the transaction that ends its phase."""

    step_id: UUID
    token: UUID
    times: CallTimes
    reply: ModelReply
    reply_sha256: str
    body: bytes
    """At most INLINE_REPLY_BYTES."""
    cost_usd: Decimal | None
    price_version: str | None


class RepeatedCall(Frozen):
    """This step key was answered before. A small body comes along, a big one lies in the artifact store."""

    step_id: UUID
    reply_sha256: str
    body: bytes | None = None
    provider_response_id: str | None = None
    price_version: str | None = None
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


class CallFenced(Frozen):
    """The execution was taken over by a newer one: its calls are no longer let through."""


BeginOutcome = BegunCall | RepeatedCall | PolicyChanged | CallMustWait | MoneyRefused | CallFenced

INLINE_REPLY_BYTES = 8_192
"""A reply up to this size is committed by `end_call` itself; a bigger one goes to the artifact store before."""

CALL_LEASE_SECONDS = 60.0
"""Time to live of a call's permit; the caller renews it, and gives the call up when it could not."""


class CallLedger(Protocol):
    """begin_call and end_call of DESIGN 6: one database round trip each. All methods raise Unavailable when the
    database does not answer."""

    async def policy(self, org_id: UUID) -> Policy:
        """The newest policy (cached by the caller by its version)."""
        ...

    async def begin_call(
        self, scope: CallScope, terms: CallTerms, *, waited_seconds: Callable[[], float]
    ) -> BeginOutcome:
        """Atomically: fenced? answered before (by attempt and step key)? policy version; requests/min, tokens/min,
        concurrent, monthly money and the run's own limits; permit, reservation, step row (written before the call).

        An earlier call of the same step key that was never answered becomes `lost`: its permit is released, its
        cost stays null and its reservation keeps counting. `waited_seconds` (since the caller was asked) is read when
        the statement is about to be sent.
        """
        ...

    async def renew_call(self, scope: CallScope, call: BegunCall) -> bool:
        """Prolongs the permit by CALL_LEASE_SECONDS. False: it was given up or taken over."""
        ...

    async def end_call(
        self,
        scope: CallScope,
        call: BegunCall,
        *,
        times: Callable[[], CallTimes],
        reply: ModelReply | None,
        reply_sha256: str | None,
        body: bytes | None,
        cost_usd: Decimal | None,
        price_version: str | None,
        error: PhaseError | None,
    ) -> bool:
        """Answer's hash (and `body`, when it is small), usage, cost or error; releases the permit; settles the
        reservation (an unknown cost keeps it counting). `times` is read when the statement is about to be sent.
        May be repeated. False: the call was taken over as lost meanwhile; only its usage and cost were recorded,
        the answer was not."""
        ...
