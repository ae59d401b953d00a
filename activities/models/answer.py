"""How a call ended, as one value: reply or error, body, cost."""

import asyncio
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256

from domain.models.admission import Admitted
from domain.models.messages import CallRefused, CallTimes, ModelReply, ToolCall
from domain.models.ports import INLINE_REPLY_BYTES, BegunCall, CallEnd
from domain.models.prices import Priced, PriceTable, cost_of
from domain.models.reply_body import reply_body
from domain.redaction import Redactor
from domain.runs.failure import EXCERPT_LIMIT, ErrorKind, PhaseError


@dataclass(frozen=True)
class Answer:
    """`error` is set exactly when the call failed; a reply beside it was paid but could not be kept."""

    reply: ModelReply | None = None
    body: bytes = b""
    sha256: str | None = None
    cost_usd: Decimal | None = None
    price_version: str | None = None
    error: PhaseError | None = None
    cancelled: asyncio.CancelledError | None = None

    @property
    def is_small(self) -> bool:
        """Answered, and its row holds the body."""
        return self.error is None and self.cancelled is None and len(self.body) <= INLINE_REPLY_BYTES

    def end(self, begun: BegunCall, times: CallTimes) -> CallEnd:
        """Of an answered call whose row holds the body."""
        assert self.is_small and self.reply is not None and self.sha256 is not None
        return CallEnd(
            step_id=begun.step_id,
            token=begun.token,
            times=times,
            reply=self.reply,
            reply_sha256=self.sha256,
            body=self.body,
            cost_usd=self.cost_usd,
            price_version=self.price_version,
        )

    @staticmethod
    def of_reply(reply: ModelReply, admitted: Admitted, prices: PriceTable, redactor: Redactor) -> "Answer":
        """The caller sees what is kept, and what a repeated call will see: no known secret, no lone surrogate."""
        reply = _kept(reply, redactor)
        body = reply_body(reply)
        priced = _priced(reply, admitted, prices)
        return Answer(
            reply=reply,
            body=body,
            sha256=sha256(body).hexdigest(),
            cost_usd=None if priced is None else priced.usd,
            price_version=None if priced is None else priced.version,
        )

    @staticmethod
    def of_failure(error: Exception, admitted: Admitted, prices: PriceTable, redactor: Redactor) -> "Answer":
        """Every text redacted; what is not a CallRefused is a defect, told by its type."""
        refused = error if isinstance(error, CallRefused) else _defect(error, admitted)
        return _without_answer(
            _redacted(refused.error, redactor), refused.reply, refused.maybe_billed, admitted, prices
        )

    @staticmethod
    def of_cancelled(
        cancelled: asyncio.CancelledError, admitted: Admitted, prices: PriceTable, *, sent: bool
    ) -> "Answer":
        error = PhaseError(
            kind=ErrorKind.CANCELLED,
            message="The model call was cancelled before its answer came.",
            hint="The provider may bill it all the same." if sent else "It was not sent.",
        )
        return replace(_without_answer(error, None, sent, admitted, prices), cancelled=cancelled)


def _kept(reply: ModelReply, redactor: Redactor) -> ModelReply:
    def clean(text: str) -> str:
        return redactor.redact_known(text).encode("utf-8", "replace").decode()

    calls = tuple(
        ToolCall(id=clean(call.id), name=clean(call.name), arguments=clean(call.arguments)) for call in reply.tool_calls
    )
    return reply.model_copy(update={"text": clean(reply.text), "tool_calls": calls})


def _without_answer(
    error: PhaseError, reply: ModelReply | None, maybe_billed: bool, admitted: Admitted, prices: PriceTable
) -> Answer:
    """A failure's cost: of the reply that was paid; 0 when nothing was billed or the model is free; else unknown."""
    if reply is None and not maybe_billed:
        return Answer(error=error, cost_usd=Decimal(0))
    priced = _priced(reply or ModelReply(text=""), admitted, prices)
    return Answer(
        reply=reply,
        cost_usd=None if priced is None else priced.usd,
        price_version=None if priced is None else priced.version,
        error=error,
    )


def _priced(reply: ModelReply, admitted: Admitted, prices: PriceTable) -> Priced | None:
    asked = admitted.terms.model
    answered = reply.model_answered
    return cost_of(
        prices,
        admitted.provider,
        (asked,) if answered is None or answered == asked else (answered, asked),
        reply.usage,
        policy_version=admitted.terms.policy_version,
    )


def _defect(error: Exception, admitted: Admitted) -> CallRefused:
    found = PhaseError(
        kind=ErrorKind.INTERNAL,
        message=f"The adapter of provider `{admitted.provider.name}` failed with {type(error).__name__}.",
        excerpt=str(error),
        hint="This is a defect of the adapter: report it with the excerpt.",
    )
    return CallRefused(found, maybe_billed=True)


def _redacted(error: PhaseError, redactor: Redactor) -> PhaseError:
    return error.model_copy(
        update={
            "message": redactor.redact(error.message) or f"The call failed as {error.kind.value}.",
            "excerpt": redactor.redact(error.excerpt)[:EXCERPT_LIMIT],
            "hint": redactor.redact(error.hint),
        }
    )
