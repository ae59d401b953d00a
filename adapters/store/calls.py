"""CallLedger over PostgreSQL: begin_call and end_call are one statement each (migrations/sql/calls_0001)."""

from base64 import b64encode
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb
from uuid6 import uuid7

from adapters.store.database import Database
from domain.models.messages import CallScope, CallTimes, ModelReply
from domain.models.policy import Policy
from domain.models.ports import (
    CALL_LEASE_SECONDS,
    BeginOutcome,
    BegunCall,
    CallEnd,
    CallFenced,
    CallMustWait,
    CallTerms,
    MoneyRefused,
    PolicyChanged,
    RepeatedCall,
)
from domain.runs.failure import PhaseError
from domain.runs.words import StepStatus

_BEGIN = (
    "SELECT * FROM begin_call(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_END = "SELECT end_call(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
_RENEW = "SELECT renew_call(%s, %s, %s, %s, %s)"
_POLICY = "SELECT * FROM newest_policy(%s)"
_FOREIGN_TEXT_LIMIT = 500
"""Characters kept of a name or id that a provider chose."""


class PostgresCallLedger:
    """`worker` names this process."""

    def __init__(self, database: Database, *, worker: str, step_ids: Callable[[], UUID] = uuid7) -> None:
        self._database = database
        self._worker = worker
        self._step_ids = step_ids

    async def policy(self, org_id: UUID) -> Policy:
        """Version 0, which allows nothing, where the organization has none yet."""
        row = await self._database.row(_POLICY, lambda: (org_id,))
        return _policy(*row) if row and row[0] is not None else Policy(version=0)

    async def begin_call(
        self, scope: CallScope, terms: CallTerms, *, waited_seconds: Callable[[], float]
    ) -> BeginOutcome:
        call = BegunCall(step_id=self._step_ids(), token=uuid4(), model=f"{terms.provider}:{terms.model}")
        row = await self._database.row(
            _BEGIN,
            lambda: (
                scope.org_id,
                scope.run_id,
                scope.attempt_id,
                scope.execution_id,
                scope.step_key,
                scope.title,
                terms.provider,
                terms.model,
                terms.policy_version,
                waited_seconds(),
                terms.requests_per_minute,
                terms.tokens_per_minute,
                terms.concurrent,
                terms.monthly_usd,
                scope.run_tokens,
                scope.run_usd,
                terms.reserve_tokens,
                terms.reserve_usd,
                call.step_id,
                call.token,
                self._worker,
                CALL_LEASE_SECONDS,
            ),
        )
        assert row is not None, "begin_call returns exactly one row"
        outcome, seconds, reason, message, version, document, *found = row
        match outcome:
            case "begun":
                return call
            case "repeated":
                return _repeated(found)
            case "policy":
                return PolicyChanged(policy=_policy(version, document or {}))
            case "wait":
                return CallMustWait(seconds=seconds, reason=reason)
            case "money":
                return MoneyRefused(limit=reason, message=message)
            case _:
                return CallFenced()

    async def renew_call(self, scope: CallScope, call: BegunCall) -> bool:
        provider = call.model.partition(":")[0]
        row = await self._database.row(
            _RENEW, lambda: (scope.org_id, provider, call.step_id, call.token, CALL_LEASE_SECONDS)
        )
        return bool(row and row[0])

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
        usage = reply.usage if reply else None
        row = await self._database.row(
            _END,
            lambda: (
                scope.org_id,
                call.step_id,
                call.token,
                StepStatus.FAILED if error else StepStatus.DONE,
                *_parts(times()),
                _foreign(reply.model_answered) if reply else None,
                _foreign(reply.provider_response_id) if reply else None,
                usage.tokens_in if usage else None,
                usage.tokens_out if usage else None,
                usage.tokens_cached if usage else None,
                cost_usd,
                price_version,
                reply_sha256,
                body,
                Jsonb(_storable(error)) if error else None,
            ),
        )
        return bool(row and row[0])


def call_document(end: CallEnd | None) -> dict[str, object] | None:
    """For `phase_finish`, which ends the phase's last call too."""
    if end is None:
        return None
    queue, api, run = _parts(end.times)
    return {
        "step_id": end.step_id,
        "token": end.token,
        "queue_seconds": queue,
        "api_seconds": api,
        "run_seconds": run,
        "model_answered": _foreign(end.reply.model_answered),
        "response_id": _foreign(end.reply.provider_response_id),
        "tokens_in": end.reply.usage.tokens_in,
        "tokens_out": end.reply.usage.tokens_out,
        "tokens_cached": end.reply.usage.tokens_cached,
        "cost_usd": end.cost_usd,
        "price_version": end.price_version,
        "sha256": end.reply_sha256,
        "body": b64encode(end.body).decode(),
    }


def _parts(times: CallTimes) -> tuple[float, float, float]:
    return times.queue_seconds, times.api_seconds, times.run_seconds


def _policy(version: int, document: dict[str, object]) -> Policy:
    return Policy.model_validate({**document, "version": version})


def _repeated(found: list[Any]) -> RepeatedCall:
    step, sha256, body, cost, price_version, model_answered, response_id, tokens_in, tokens_out, tokens_cached = found
    return RepeatedCall(
        step_id=step,
        reply_sha256=sha256,
        body=body,
        cost_usd=cost,
        price_version=price_version,
        model_answered=model_answered,
        provider_response_id=response_id,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        tokens_cached=tokens_cached,
    )


def _foreign(text: str | None) -> str | None:
    """Text of a provider as PostgreSQL can hold it."""
    if text is None:
        return None
    return text[:_FOREIGN_TEXT_LIMIT].replace("\x00", "").encode("utf-8", "replace").decode()


def _storable(error: PhaseError) -> dict[str, object]:
    """As JSON without the characters that jsonb refuses."""
    texts = {"message": error.message, "excerpt": error.excerpt, "hint": error.hint}
    clean = {name: text.replace("\x00", "").encode("utf-8", "replace").decode() for name, text in texts.items()}
    return error.model_dump(mode="json") | clean
