"""How a call ended, as one value: reply or error, body, cost."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

from domain.models.admission import Admitted
from domain.models.messages import CallRefused, ModelReply
from domain.models.prices import PriceTable, cost_of
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

    @staticmethod
    def of_reply(reply: ModelReply, admitted: Admitted, prices: PriceTable) -> "Answer":
        body = reply.text.encode("utf-8", "replace")
        asked = admitted.terms.model
        models = (reply.model_answered, asked) if reply.model_answered not in (None, asked) else (asked,)
        priced = cost_of(
            prices,
            admitted.provider,
            tuple(m for m in models if m is not None),
            reply.usage,
            policy_version=admitted.terms.policy_version,
        )
        return Answer(
            # Lone surrogates cannot be kept, so the caller sees what a repeated call will see.
            reply=reply if reply.text.isascii() else reply.model_copy(update={"text": body.decode()}),
            body=body,
            sha256=sha256(body).hexdigest(),
            cost_usd=None if priced is None else priced.usd,
            price_version=None if priced is None else priced.version,
        )

    @staticmethod
    def of_cancelled(cancelled: asyncio.CancelledError, *, sent: bool) -> "Answer":
        error = PhaseError(
            kind=ErrorKind.CANCELLED,
            message="The model call was cancelled before its answer came.",
            hint="What it cost is unknown." if sent else "It was not sent.",
        )
        return Answer(error=error, cost_usd=None if sent else Decimal(0), cancelled=cancelled)


def failed(error: Exception, admitted: Admitted, redactor: Redactor) -> Answer:
    """A provider's failure with every text redacted; what is not a CallRefused is a defect, told by its type."""
    if isinstance(error, CallRefused):
        found, maybe_billed = error.error, error.maybe_billed
    else:
        found = PhaseError(
            kind=ErrorKind.INTERNAL,
            message=f"The adapter of provider `{admitted.provider.name}` failed with {type(error).__name__}.",
            excerpt=str(error),
            hint="This is a defect of the adapter: report it with the excerpt.",
        )
        maybe_billed = True
    clean = found.model_copy(
        update={
            "message": redactor.redact(found.message) or f"The call failed as {found.kind.value}.",
            "excerpt": redactor.redact(found.excerpt)[:EXCERPT_LIMIT],
            "hint": redactor.redact(found.hint),
        }
    )
    return Answer(error=clean, cost_usd=None if maybe_billed else Decimal(0))
