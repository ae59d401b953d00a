"""The end of a call in the record: body first, then `end_call` with its hash, over a short database outage too."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from activities.models.answer import Answer
from activities.models.refusals import fenced
from domain.artifacts.ports import ArtifactStore
from domain.errors import Unavailable
from domain.models.messages import CallScope, CallTimes
from domain.models.ports import INLINE_REPLY_BYTES, BegunCall, CallLedger
from domain.runs.failure import ErrorKind, PhaseError

_PATIENCE_SECONDS = 20.0
"""How long an answer that is paid waits for a database that is gone: a restart of PostgreSQL, not an outage."""
_FIRST_DELAY_SECONDS = 0.05
_LONGEST_DELAY_SECONDS = 1.0


async def record(
    ledger: CallLedger,
    artifacts: ArtifactStore,
    scope: CallScope,
    begun: BegunCall,
    answer: Answer,
    times: Callable[[], CallTimes],
) -> Answer:
    """The answer as it now stands in the record. Raises Unavailable when the database stays away."""
    inline = len(answer.body) <= INLINE_REPLY_BYTES
    if answer.sha256 is not None and not inline:
        try:
            await artifacts.put(scope.org_id, answer.body)
        except Unavailable as error:
            answer = replace(answer, error=_not_kept(error))
    gives_up = monotonic() + _PATIENCE_SECONDS
    delay = _FIRST_DELAY_SECONDS
    while True:
        try:
            kept = await ledger.end_call(
                scope,
                begun,
                times=times,
                reply=answer.reply,
                reply_sha256=None if answer.error else answer.sha256,
                body=answer.body if inline and answer.error is None else None,
                cost_usd=answer.cost_usd,
                price_version=answer.price_version,
                error=answer.error,
            )
        except Unavailable:
            if monotonic() + delay > gives_up:
                raise
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)
            continue
        if kept or answer.error is not None:
            return answer
        return replace(answer, error=fenced(begun.model))


def _not_kept(error: Unavailable) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.STORAGE,
        message=f"The model answered, but the answer could not be kept: {error.message}",
        hint=error.hint or "Make room in the artifact store; the call is made (and paid) again then.",
    )
