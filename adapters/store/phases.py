"""PhaseLedger and OutputSink over PostgreSQL: one statement each (migrations/sql/0002/phases.sql)."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

from uuid6 import uuid7

from adapters.store.calls import call_document
from adapters.store.database import Database
from adapters.store.documents import arguments, document, embed
from domain.base import Frozen
from domain.errors import NotFound, PhaseFailure
from domain.models.ports import CallEnd
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.messages import AttemptKey, PhaseInput, PhaseResult
from domain.runs.ports import (
    LEASE_SECONDS,
    AlreadyDone,
    Began,
    EarlierAttempt,
    Finished,
    Lease,
    MustWait,
    Renewal,
    RunFacts,
    StepEnd,
    StepStart,
    Usage,
)
from domain.runs.words import StepStatus

FACTS_KEPT = 256
"""Runs whose constant facts a worker keeps, newest used last."""

LOST = PhaseError(
    kind=ErrorKind.WORKER_LOST,
    message="The worker died, or was cut off, while the phase ran.",
    hint="Nothing to do when another execution follows; else look at the worker's log and memory at that time.",
)
CLOSED = PhaseError(
    kind=ErrorKind.CANCELLED,
    message="The run had ended before this phase could begin.",
    excerpt="(the phase did not run)",
    hint="Start a new run when the work is still wanted.",
)
_LOST = document(LOST)
_CLOSED = document(CLOSED)


class _BeganAnswer(Frozen):
    attempt_id: UUID
    number: int
    cancel_requested: bool
    run: RunFacts | None = None
    earlier: tuple[EarlierAttempt, ...] = ()


class _BeginAnswer(Frozen):
    done: PhaseResult | None = None
    wait: MustWait | None = None
    began: _BeganAnswer | None = None
    missing: bool = False


class PostgresPhaseLedger:
    """`told` is called with the run's id after each write that viewers want to see."""

    def __init__(self, database: Database, told: Callable[[UUID], None]) -> None:
        self._database = database
        self._told = told
        self._facts: OrderedDict[UUID, RunFacts] = OrderedDict()

    async def begin(self, phase: PhaseInput, *, worker: str, max_executions: int) -> Began | AlreadyDone | MustWait:
        """Raises NotFound for a run that the record does not know, Unavailable."""
        key = phase.key
        execution_id, token = uuid7(), uuid4()
        facts = self._facts.get(key.run_id)
        asked = arguments(
            org_id=key.org_id,
            run_id=key.run_id,
            iteration=key.iteration,
            phase=key.phase,
            attempt=key.attempt,
            cause=phase.cause,
            tree=phase.tree,
            max_executions=max_executions,
            worker=worker,
            attempt_id=uuid7(),
            execution_id=execution_id,
            token=token,
            ttl_seconds=LEASE_SECONDS,
            facts_known=facts is not None,
        )
        asked = embed(asked, lost_error=_LOST, closed_error=_CLOSED)
        told = await self._database.one("SELECT phase_begin(%s::jsonb)::text", asked)
        answer = _BeginAnswer.model_validate_json(told)
        if answer.missing:
            raise NotFound(f"The record has no run {key.run_id}.", hint="Was the database replaced? Start a new run.")
        self._told(key.run_id)
        if answer.done is not None:
            return AlreadyDone(result=answer.done)
        if answer.wait is not None:
            return answer.wait
        began = answer.began
        assert began is not None, "phase_begin answers done, wait, began or missing"
        facts = self._keep(began.run or facts)
        return Began(
            lease=Lease(execution_id=execution_id, attempt_id=began.attempt_id, number=began.number, token=token),
            run=facts,
            earlier=began.earlier,
            cancel_requested=began.cancel_requested,
        )

    def _keep(self, facts: RunFacts | None) -> RunFacts:
        assert facts is not None, "phase_begin gives the facts that the worker does not have"
        self._facts[facts.run_id] = facts
        self._facts.move_to_end(facts.run_id)
        while len(self._facts) > FACTS_KEPT:
            self._facts.popitem(last=False)
        return facts

    async def renew(self, leases: Sequence[tuple[AttemptKey, Lease]]) -> Sequence[Renewal]:
        asked = arguments(tokens=[lease.token for _, lease in leases], ttl_seconds=LEASE_SECONDS)
        held: dict[str, bool] = await self._database.one("SELECT phase_renew(%s::jsonb)", asked)
        return [
            Renewal(held=str(lease.token) in held, cancel_requested=held.get(str(lease.token), False))
            for _, lease in leases
        ]

    async def start_step(self, key: AttemptKey, lease: Lease, step: StepStart) -> StepStatus | None:
        """Raises PhaseFailure(worker_lost) when a newer execution took over: the effect must not happen."""
        asked = _leased(key, lease, step_id=uuid7(), key=step.key, kind=step.kind, title=step.title, effect=step.effect)
        told = await self._database.one("SELECT step_start(%s::jsonb)", asked)
        if told == "fenced":
            raise PhaseFailure(LOST)
        self._told(key.run_id)
        return StepStatus(told) if told is not None else None

    async def end_step(self, key: AttemptKey, lease: Lease, step_key: str, end: StepEnd) -> None:
        asked = embed(_leased(key, lease, key=step_key), end=document(end))
        await self._database.one("SELECT step_end(%s::jsonb)", asked)
        self._told(key.run_id)

    async def finish(self, key: AttemptKey, lease: Lease, finished: Finished, call: CallEnd | None = None) -> bool:
        asked = embed(_leased(key, lease, call=call_document(call)), finished=document(finished))
        held: bool = await self._database.one("SELECT phase_finish(%s::jsonb)", asked)
        self._told(key.run_id)
        return held

    async def fail_execution(self, key: AttemptKey, lease: Lease, error: PhaseError, usage: Usage) -> bool:
        """What was used is summed from the step rows, which know of lost calls too."""
        asked = embed(_leased(key, lease), error=document(error))
        held: bool = await self._database.one("SELECT phase_fail(%s::jsonb)", asked)
        self._told(key.run_id)
        return held

    async def wait(self, key: AttemptKey, lease: Lease, wait: MustWait) -> bool:
        asked = _leased(key, lease, reason=wait.reason, until=wait.until.isoformat())
        held: bool = await self._database.one("SELECT phase_wait(%s::jsonb)", asked)
        self._told(key.run_id)
        return held

    async def release(self, key: AttemptKey, lease: Lease) -> None:
        await self._database.one("DELETE FROM permit WHERE token = %s RETURNING 1", lease.token)
        self._told(key.run_id)


class PostgresOutputSink:
    def __init__(self, database: Database, told: Callable[[UUID], None]) -> None:
        self._database = database
        self._told = told

    async def append(self, key: AttemptKey, lease: Lease, sequence: int, text: str) -> None:
        asked = _leased(key, lease, seq=sequence, text=text)
        await self._database.one("SELECT output_append(%s::jsonb)", asked)
        self._told(key.run_id)


def _leased(of: AttemptKey, lease: Lease, /, **more: object) -> str:
    return arguments(org_id=of.org_id, run_id=of.run_id, execution_id=lease.execution_id, token=lease.token, **more)
