"""A long call keeps its permit, and is ended when it cannot."""

import asyncio

import pytest

from activities.models.holding import hold
from domain.errors import Unavailable
from domain.models.messages import CallRefused, ModelReply
from domain.runs.failure import ErrorKind

REPLY = ModelReply(text="done")


class _Provider:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.closed = False

    async def call(self) -> ModelReply:
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self.closed = True
        return REPLY


class _Permit:
    """Answers each renewal with the next of `answers`, the last one for ever."""

    def __init__(self, *answers: bool | Unavailable) -> None:
        self._answers = list(answers)
        self.renewed = 0

    async def renew(self) -> bool:
        self.renewed += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Unavailable):
            raise answer
        return answer


async def _hold(provider: _Provider, permit: _Permit, *, timeout: float = 10.0, give_up: float = 10.0) -> ModelReply:
    return await hold(
        provider.call(),
        renew=permit.renew,
        timeout_seconds=timeout,
        what="p:m",
        renew_seconds=0.02,
        give_up_seconds=give_up,
    )


async def test_a_short_call_is_not_renewed() -> None:
    permit = _Permit(False)
    assert await _hold(_Provider(0), permit) == REPLY and permit.renewed == 0


async def test_a_long_call_is_renewed_until_it_ends() -> None:
    permit = _Permit(True)
    assert await _hold(_Provider(0.2), permit) == REPLY and permit.renewed >= 2


async def test_a_call_whose_permit_was_taken_is_ended() -> None:
    provider = _Provider(30)
    with pytest.raises(CallRefused) as refused:
        await _hold(provider, _Permit(True, False))
    assert refused.value.error.kind is ErrorKind.WORKER_LOST and refused.value.maybe_billed
    assert provider.closed


async def test_a_database_that_is_away_for_a_moment_ends_nothing() -> None:
    away = Unavailable("restarting")
    permit = _Permit(away, away, True)
    assert await _hold(_Provider(0.3), permit) == REPLY and permit.renewed >= 3


async def test_a_database_that_stays_away_ends_the_call_before_its_lease() -> None:
    provider = _Provider(30)
    with pytest.raises(CallRefused) as refused:
        await _hold(provider, _Permit(Unavailable("gone")), give_up=0.1)
    assert refused.value.error.kind is ErrorKind.WORKER_LOST and provider.closed


async def test_the_time_limit_ends_the_call() -> None:
    provider = _Provider(30)
    with pytest.raises(CallRefused) as refused:
        await _hold(provider, _Permit(True), timeout=0.1)
    assert refused.value.error.kind is ErrorKind.TIMEOUT and "0.1 s" in refused.value.error.message
    assert provider.closed
