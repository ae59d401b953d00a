"""What a caller gets when the record does not let a call through: closed kinds, each with the way out."""

from typing import Literal

from domain.errors import MillwrightError
from domain.models.ports import CallMustWait, MoneyRefused
from domain.runs.failure import ErrorKind, PhaseError

_RUN_BUDGETS: dict[str, Literal["tokens", "cost"]] = {"run tokens": "tokens", "run cost_usd": "cost"}
"""Limits of the run itself, by the name that begin_call gives them."""


def wait(outcome: CallMustWait) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.RATE_LIMITED,
        message=f"The call must wait {outcome.seconds:.1f} s: {outcome.reason}.",
        hint="It is tried again by itself; raise the limit in the organization's policy if this is too slow.",
        retry_after_seconds=outcome.seconds,
    )


def money(outcome: MoneyRefused) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.QUOTA_EXHAUSTED,
        message=outcome.message,
        hint=f"Raise the limit `{outcome.limit}`, choose a cheaper model, or ask for fewer output tokens.",
        budget=_RUN_BUDGETS.get(outcome.limit),
    )


def fenced(model: str) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.WORKER_LOST,
        message=f"A newer execution of this attempt took over; its call to `{model}` counts, this one does not.",
        hint="Nothing to do: the newer execution goes on.",
    )


def policy_in_motion(model: str) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.RATE_LIMITED,
        message=f"The organization's policy changed again and again while `{model}` was about to be called.",
        hint="It is tried again by itself.",
        retry_after_seconds=1.0,
    )


def lost_reply(model: str, error: MillwrightError) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.STORAGE,
        message=f"The recorded answer of `{model}` cannot be read: {error.message}",
        hint=error.hint or "Bring the artifact store back; the answer is paid and is not asked for again.",
    )
