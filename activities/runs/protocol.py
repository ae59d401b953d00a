"""The phase protocol (DESIGN 5.2): one activity for every kind of phase, the same five steps.

    begin (permit, execution, event) -> restore tree -> execute -> finish (result, event, permit back)

A worker that dies after `finish` repeats nothing; one that dies before it leaves a visible lost execution.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.models.settling import Settlement
from activities.runs.context import PhaseContext, PhaseExecutor
from activities.runs.live_output import LiveOutput
from activities.runs.results import Results, failed, internal, shutting_down, stopped
from activities.runs.stop import Stopped, StopReason, StopSignal
from activities.runs.telemetry import PhaseTelemetry
from activities.runs.ticker import LeaseTicker
from activities.runs.worktrees import Worktrees
from domain.errors import MillwrightError, PhaseFailure, Unavailable
from domain.failpoints import Failpoints, Point
from domain.models.messages import CallRefused
from domain.pipelines.spec import PhaseKind, WorkPhase, touches_tree
from domain.redaction import Redactor
from domain.runs.failure import ErrorKind, FailureClass, PhaseError
from domain.runs.ids import RUN_PHASE_ACTIVITY
from domain.runs.messages import PhaseInput, PhaseResult
from domain.runs.ports import AlreadyDone, Began, Finished, Lease, MustWait, OutputSink, PhaseLedger, Usage
from domain.runs.words import PhaseStatus, WaitReason

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0

log = structlog.get_logger(__name__)


def _heartbeat() -> Callable[[], None]:
    """The activity's heartbeat, callable from the ticker's task: the SDK finds the activity by its context."""
    context = copy_context()
    return lambda: context.run(activity.heartbeat)


def not_now(wait: MustWait) -> ApplicationError:
    """The one way to give the activity slot back without failing: benign, tried again at `until`."""
    delay = max(wait.until - datetime.now(UTC), timedelta(milliseconds=50))
    return ApplicationError(
        f"waiting: {wait.reason}",
        type="NotNow",
        category=ApplicationErrorCategory.BENIGN,
        next_retry_delay=delay,
    )


class Phases:
    """Family of the one phase activity. All ports are shared by every phase of this worker."""

    def __init__(
        self,
        *,
        ledger: PhaseLedger,
        sink: OutputSink,
        worktrees: Worktrees,
        executors: Mapping[PhaseKind, PhaseExecutor],
        ticker: LeaseTicker,
        redactor: Redactor,
        failpoints: Failpoints,
        telemetry: PhaseTelemetry,
        worker: str,
    ) -> None:
        self._ledger = ledger
        self._sink = sink
        self._worktrees = worktrees
        self._executors = executors
        self._ticker = ticker
        self._redactor = redactor
        self._results = Results(redactor)
        self._failpoints = failpoints
        self._telemetry = telemetry
        self._worker = worker

    @activity.defn(name=RUN_PHASE_ACTIVITY)
    async def run_phase(self, phase: PhaseInput) -> PhaseResult:
        self._failpoints.hit(Point.PHASE_BEFORE_BEGIN)
        began = await self._ledger.begin(phase, worker=self._worker, max_executions=phase.max_executions)
        match began:
            case AlreadyDone():
                return began.result
            case MustWait():
                raise not_now(began)
            case Began():
                self._failpoints.hit(Point.PHASE_AFTER_BEGIN)
                return await self._guarded(phase, began)

    async def _guarded(self, phase: PhaseInput, began: Began) -> PhaseResult:
        """Runs the phase apart from the activity's own cancellation, which only sets the stop signal: so that
        result, permit and process tree are always dealt with."""
        stop = StopSignal()
        if began.cancel_requested:
            stop.stop(StopReason.CANCELLED)
        task = asyncio.create_task(self._execution(phase, began, stop))
        while True:
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                if task.done():
                    raise
                stop.stop(_stop_reason(activity.cancellation_details()))

    async def _execution(self, phase: PhaseInput, began: Began, stop: StopSignal) -> PhaseResult:
        key, lease = phase.key, began.lease
        spec = began.run.pipeline.phase(key.phase)
        output, settlement = LiveOutput(self._sink, key, lease), Settlement()
        with self._telemetry.phase(phase, spec, lease) as told:
            async with (
                self._given_back(phase, lease),
                settlement,
                self._ticker.watch(key, lease, stop, _heartbeat()),
            ):
                finished = await self._attempted(phase, spec, began, stop, output, settlement)
                if isinstance(finished, MustWait):
                    told.wait(finished)
                    await self._ledger.wait(key, lease, finished)
                    raise not_now(finished)
                if stop.reason is StopReason.LEASE_LOST:
                    raise self._retry(began, PhaseError(kind=ErrorKind.WORKER_LOST, message="The lease was lost."))
                if (error := _not_for_the_loop(stop, finished)) is not None:
                    await settlement.settle()
                    return await self._hand_back(began, phase, error, finished)
                result = await self._commit(phase, began, self._with_last_output(finished, output), settlement)
                self._telemetry.finished(told, spec, finished)
                return result

    @asynccontextmanager
    async def _given_back(self, phase: PhaseInput, lease: Lease) -> AsyncIterator[None]:
        """Step 5 where nothing else could be written: the permit goes back. Where not even that is possible, it ends
        with its lease."""
        try:
            yield
        except ApplicationError:
            raise  # told to the record before
        except Exception:
            try:
                await self._ledger.release(phase.key, lease)
            except Unavailable as error:
                log.warning("permit.left_to_its_lease", error=error.message)
            raise

    async def _commit(self, phase: PhaseInput, began: Began, finished: Finished, settlement: Settlement) -> PhaseResult:
        held = await self._ledger.finish(phase.key, began.lease, finished, settlement.end())
        settlement.recorded()
        if not held:
            raise self._retry(began, PhaseError(kind=ErrorKind.WORKER_LOST, message="A newer execution took over."))
        self._failpoints.hit(Point.PHASE_AFTER_FINISH)
        return finished.result

    async def _hand_back(self, began: Began, phase: PhaseInput, error: PhaseError, finished: Finished) -> PhaseResult:
        """An infrastructure failure: this execution ends, the attempt stays open, Temporal tries again. The next
        `begin` commits the attempt as failed when the executions are used up."""
        await self._ledger.fail_execution(phase.key, began.lease, error, finished.usage)
        raise self._retry(began, error)

    def _retry(self, began: Began, error: PhaseError) -> ApplicationError:
        delay = error.retry_after_seconds or min(
            FIRST_RETRY_SECONDS * 2 ** (began.lease.number - 1), LONGEST_RETRY_SECONDS
        )
        if error.kind is ErrorKind.WORKER_LOST:
            delay = FIRST_RETRY_SECONDS
        return ApplicationError(error.message, type=error.kind, next_retry_delay=timedelta(seconds=delay))

    def _with_last_output(self, finished: Finished, output: LiveOutput) -> Finished:
        sequence, text = output.unsent
        if not text:
            return finished
        return finished.model_copy(update={"output": self._redactor.redact(text), "output_sequence": sequence})

    async def _attempted(
        self,
        phase: PhaseInput,
        spec: WorkPhase,
        began: Began,
        stop: StopSignal,
        output: LiveOutput,
        settlement: Settlement,
    ) -> Finished | MustWait:
        """Steps 3 and the effect, with every failure turned into a value."""
        context = PhaseContext(phase=phase, spec=spec, began=began, stop=stop, output=output, settlement=settlement)
        try:
            if not touches_tree(spec):
                return self._results.finished(phase, await self._executors[spec.kind].execute(context), None, None)
            async with self._worktrees.restored(phase, spec, began.run) as worktree:
                self._failpoints.hit(Point.PHASE_AFTER_RESTORE)
                work = await self._executors[spec.kind].execute(replace(context, worktree=worktree))
                self._failpoints.hit(Point.PHASE_AFTER_EFFECT)
                after = await self._worktrees.tree_after(phase, spec, worktree, work, began.run)
                self._failpoints.hit(Point.PHASE_AFTER_SNAPSHOT)
                work = work.model_copy(update={"artifacts": (*work.artifacts, *after.artifacts)})
                return self._results.finished(phase, work, worktree, after.tree)
        except Stopped as stop_asked:
            return self._results.finished(phase, stopped(stop_asked, spec), None, None)
        except (PhaseFailure, CallRefused) as failure:
            if failure.error.failure_class is FailureClass.WAIT:
                delay = timedelta(seconds=failure.error.retry_after_seconds or 1.0)
                return MustWait(reason=WaitReason.RATE_LIMIT, until=datetime.now(UTC) + delay)
            unknown = isinstance(failure, CallRefused) and failure.maybe_billed
            work = failed(failure.error, Usage(cost_usd=None) if unknown else Usage())
            return self._results.finished(phase, work, None, None)
        except MillwrightError as error:
            kind = ErrorKind.STORAGE if isinstance(error, Unavailable) else ErrorKind.WORKSPACE
            told = PhaseError(kind=kind, message=error.message, hint=error.hint)
            return self._results.finished(phase, failed(told), None, None)
        except Exception as error:
            log.exception("phase.internal_error", phase=spec.name)
            return self._results.finished(phase, failed(internal(error)), None, None)


def _not_for_the_loop(stop: StopSignal, finished: Finished) -> PhaseError | None:
    """Why this execution ends without a result of its attempt; None: it has one."""
    if stop.reason is StopReason.SHUTDOWN and finished.result.status is not PhaseStatus.PASSED:
        return shutting_down()
    error = finished.result.error
    return error if error is not None and error.failure_class is FailureClass.INFRASTRUCTURE else None


def _stop_reason(details: activity.ActivityCancellationDetails | None) -> StopReason:
    """Only a cancel that was asked for cancels the run. When Temporal has given the work away (no heartbeat came in
    time, or an operator reset or paused the activity), this execution is the late one: another follows."""
    if details is None or details.cancel_requested:
        return StopReason.CANCELLED
    return StopReason.SHUTDOWN if details.worker_shutdown else StopReason.LEASE_LOST
