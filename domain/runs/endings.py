"""How each end of a run is told: the outcome with its error, naming the phase and the numbers."""

from decimal import Decimal

from domain.pipelines.spec import WorkPhase
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.fingerprint import label
from domain.runs.limits import RunLimits
from domain.runs.outcome import Outcome
from domain.runs.state import AttemptRecord, RunState
from domain.runs.words import OutcomeKind, PhaseStatus

_LOOK = "Read the excerpt and the phase's whole output on the run page"


def error_of(record: AttemptRecord) -> PhaseError:
    """The error of a phase that did not pass: never without a message and an excerpt, also where it left none."""
    error = record.result.error or _unsaid(record)
    message = error.message or f"it ended as {error.kind}."
    return error.model_copy(update={"message": message, "excerpt": error.excerpt or "(the phase left no output)"})


def _unsaid(record: AttemptRecord) -> PhaseError:
    match record.result.status:
        case PhaseStatus.CANCELLED:
            return PhaseError(kind=ErrorKind.CANCELLED, message="The phase was cancelled.")
        case PhaseStatus.CHANGES_REQUESTED:
            return PhaseError(
                kind=ErrorKind.INVALID_OUTPUT,
                message="the review asked for changes.",
                excerpt=label(record.result.fingerprint or ""),
                hint="Read the review's comments on the run page.",
            )
    return PhaseError(
        kind=ErrorKind.INTERNAL,
        message=f"the phase ended as {record.result.status} without an error.",
        hint="This is a fault of Millwright: report it with the run's id.",
    )


def cancelled(where: str) -> Outcome:
    error = PhaseError(
        kind=ErrorKind.CANCELLED,
        message=f"The run was cancelled {where}.",
        hint="Start a new run when the work is still wanted.",
    )
    return Outcome(kind=OutcomeKind.CANCELLED, error=error)


def ended_by(record: AttemptRecord) -> Outcome:
    """A failure that no further iteration can mend."""
    error = error_of(record)
    told = error.model_copy(update={"message": f"{record.phase} failed: {error.message}"})
    if error.budget is not None:
        return Outcome(kind=OutcomeKind.BUDGET_EXCEEDED, detail=error.budget, error=told)
    if error.stuck:
        return Outcome(kind=OutcomeKind.STUCK, detail=record.phase, error=told)
    match error.kind:
        case ErrorKind.POLICY_BLOCKED:
            return Outcome(kind=OutcomeKind.POLICY_BLOCKED, error=told)
        case ErrorKind.CANCELLED:
            return cancelled(f"while {record.phase} ran")
        case ErrorKind.RATE_LIMITED:
            return Outcome(kind=OutcomeKind.PROVIDER_UNAVAILABLE, error=told)
    return Outcome(kind=OutcomeKind.PHASE_ERROR, detail=record.phase, error=told)


def max_consecutive_failures(record: AttemptRecord, count: int) -> Outcome:
    readable = label(record.result.fingerprint or "") or _shortly(record)
    asked = record.result.status is PhaseStatus.CHANGES_REQUESTED
    how = f"asked for the same changes {count} times" if asked else f"failed {count} times with the same error"
    return Outcome(
        kind=OutcomeKind.MAX_CONSECUTIVE_FAILURES,
        detail=record.phase,
        error=_from_last(
            record,
            message=f"{record.phase} {how} ({readable}).",
            hint=f"{_LOOK}; then make the task clearer, choose another model, or raise max_consecutive_failures.",
        ),
    )


def max_failures(record: AttemptRecord, count: int) -> Outcome:
    return Outcome(
        kind=OutcomeKind.MAX_FAILURES,
        detail=record.phase,
        error=_from_last(
            record,
            message=f"{record.phase} failed {count} times in all, the last time with: {_shortly(record)}.",
            hint=f"{_LOOK}; then split the task, choose another model, or raise max_failures of the phase.",
        ),
    )


def stuck(record: AttemptRecord, earlier: AttemptRecord, last_failure: AttemptRecord | None) -> Outcome:
    error = PhaseError(
        kind=ErrorKind.INVALID_OUTPUT,
        message=f"{record.phase} made the same change in iterations {earlier.iteration} and {record.iteration}.",
        excerpt=error_of(last_failure).excerpt if last_failure else f"tree {record.result.tree}",
        hint="Going on would repeat it: make the task clearer or choose another model.",
    )
    return Outcome(kind=OutcomeKind.STUCK, detail=record.phase, error=error)


def max_iterations(record: AttemptRecord, limit: int) -> Outcome:
    return Outcome(
        kind=OutcomeKind.MAX_ITERATIONS,
        error=_from_last(
            record,
            message=f"none of {limit} iteration{'s' if limit > 1 else ''} passed; "
            f"the last one ended at {record.phase}: {_shortly(record)}.",
            hint=f"{_LOOK}; then split the task, choose another model, or raise max_iterations.",
        ),
    )


def over_budget(state: RunState, limits: RunLimits, next_phase: WorkPhase, now_seconds: float) -> Outcome | None:
    """The first budget that leaves nothing for the next phase; None when there is something left."""
    used_seconds = now_seconds - state.started_at_seconds
    where = f"before {next_phase.name} could run"
    if limits.tokens is not None and state.tokens >= limits.tokens:
        return _budget(state, "tokens", f"the run used {state.tokens:,} of {limits.tokens:,} tokens {where}.")
    if limits.cost_usd is not None and state.known_cost_usd >= limits.cost_usd:
        spent = f"{_usd(state.known_cost_usd)} of {_usd(limits.cost_usd)}"
        return _budget(state, "cost", f"the run spent {spent} {where}.")
    if limits.cost_usd is not None and state.cost_usd is None:
        unknown = [a for a in state.attempts if a.result.cost_usd is None][-1]
        return _budget(
            state,
            "cost",
            f"the cost of {unknown.phase} in iteration {unknown.iteration} is unknown (an unpriced model or a lost "
            f"call), so the limit of {_usd(limits.cost_usd)} cannot be kept.",
            hint="State the model's price in the policy, choose a priced model, or take the cost limit out.",
        )
    if used_seconds >= limits.time_seconds:
        return _budget(state, "time", f"the run took {used_seconds:,.0f} of {limits.time_seconds:,.0f} s {where}.")
    return None


def _budget(state: RunState, budget: str, message: str, *, hint: str = "") -> Outcome:
    """The excerpt says where it went: the attempts that used most."""
    most = sorted((a for a in state.attempts if a.result.tokens), key=lambda a: a.result.tokens, reverse=True)[:10]
    error = PhaseError(
        kind=ErrorKind.TIME_LIMIT if budget == "time" else ErrorKind.QUOTA_EXHAUSTED,
        message=message,
        excerpt="\n".join(map(_used, most)) or f"{len(state.attempts)} phases ran",
        hint=hint or f"Start it again with a higher {budget} limit, or make the task smaller.",
    )
    return Outcome(kind=OutcomeKind.BUDGET_EXCEEDED, detail=budget, error=error)


def _from_last(record: AttemptRecord, *, message: str, hint: str) -> PhaseError:
    last = error_of(record)
    return PhaseError(kind=last.kind, message=message, excerpt=last.excerpt, hint=hint)


def _shortly(record: AttemptRecord) -> str:
    text = " ".join(error_of(record).message.rstrip(".").split())
    return text if len(text) <= 160 else text[:159] + "…"


def _used(record: AttemptRecord) -> str:
    cost = "unknown cost" if record.result.cost_usd is None else _usd(record.result.cost_usd)
    return f"{record.phase}, iteration {record.iteration}: {record.result.tokens:,} tokens, {cost}"


def _usd(amount: Decimal) -> str:
    return f"${amount.normalize():f}"
