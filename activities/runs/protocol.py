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

from activities.runs.context import SUMMARY_LIMIT, PhaseContext, PhaseExecutor, Work, Worktree
from activities.runs.live_output import LiveOutput
from activities.runs.stop import Stopped, StopReason, StopSignal
from activities.runs.telemetry import PhaseTelemetry
from activities.runs.ticker import LeaseTicker
from domain.errors import InvalidInput, MillwrightError, PhaseFailure, Unavailable
from domain.failpoints import Failpoints, Point
from domain.models.messages import CallRefused
from domain.pipelines.spec import CommandPhase, ModelPhase, PhaseKind, ReviewPhase, WorkPhase, touches_tree, writes_tree
from domain.redaction import Redactor
from domain.runs.failure import EXCERPT_LIMIT, ErrorKind, FailureClass, PhaseError
from domain.runs.fingerprint import of_error
from domain.runs.ids import RUN_PHASE_ACTIVITY
from domain.runs.messages import PhaseInput, PhaseResult
from domain.runs.ports import AlreadyDone, Began, Finished, MustWait, OutputSink, PhaseLedger, RunFacts, Usage
from domain.runs.words import PhaseStatus, WaitReason
from domain.workspaces.ports import Workspaces

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
LOCK_WAIT_SECONDS = 30.0
"""A lost execution's guard ends within seconds of its worker; a lock held longer is an error that says so."""

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
        workspaces: Workspaces,
        executors: Mapping[PhaseKind, PhaseExecutor],
        ticker: LeaseTicker,
        redactor: Redactor,
        failpoints: Failpoints,
        telemetry: PhaseTelemetry,
        worker: str,
    ) -> None:
        self._ledger = ledger
        self._sink = sink
        self._workspaces = workspaces
        self._executors = executors
        self._ticker = ticker
        self._redactor = redactor
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
        output = LiveOutput(self._sink, key, lease)
        with self._telemetry.phase(phase, spec, lease) as told:
            async with self._ticker.watch(key, lease, stop, _heartbeat()):
                finished = await self._attempted(phase, spec, began, stop, output)
                if isinstance(finished, MustWait):
                    told.wait(finished)
                    await self._ledger.wait(key, lease, finished)
                    raise not_now(finished)
                if stop.reason is StopReason.LEASE_LOST:
                    raise self._retry(began, PhaseError(kind=ErrorKind.WORKER_LOST, message="The lease was lost."))
                if stop.reason is StopReason.SHUTDOWN and finished.result.status is not PhaseStatus.PASSED:
                    return await self._hand_back(began, phase, _shutting_down(), finished)
                error = finished.result.error
                if error is not None and error.failure_class is FailureClass.INFRASTRUCTURE:
                    return await self._hand_back(began, phase, error, finished)
                result = await self._commit(phase, began, self._with_last_output(finished, output))
                self._telemetry.finished(told, spec, finished)
                return result

    async def _commit(self, phase: PhaseInput, began: Began, finished: Finished) -> PhaseResult:
        held = await self._ledger.finish(phase.key, began.lease, finished)
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
        self, phase: PhaseInput, spec: WorkPhase, began: Began, stop: StopSignal, output: LiveOutput
    ) -> Finished | MustWait:
        """Steps 3 and the effect, with every failure turned into a value."""
        context = PhaseContext(phase=phase, spec=spec, began=began, stop=stop, output=output)
        try:
            if not touches_tree(spec):
                return self._finished(phase, await self._executors[spec.kind].execute(context), None, None)
            async with self._worktree(phase, spec, began.run) as worktree:
                self._failpoints.hit(Point.PHASE_AFTER_RESTORE)
                work = await self._executors[spec.kind].execute(replace(context, worktree=worktree))
                self._failpoints.hit(Point.PHASE_AFTER_EFFECT)
                tree_after = await self._tree_after(phase, spec, worktree, work)
                self._failpoints.hit(Point.PHASE_AFTER_SNAPSHOT)
                return self._finished(phase, work, worktree, tree_after)
        except Stopped as stopped:
            return self._finished(phase, _stopped(stopped.reason, spec), None, None)
        except (PhaseFailure, CallRefused) as failure:
            if failure.error.failure_class is FailureClass.WAIT:
                delay = timedelta(seconds=failure.error.retry_after_seconds or 1.0)
                return MustWait(reason=WaitReason.RATE_LIMIT, until=datetime.now(UTC) + delay)
            unknown = isinstance(failure, CallRefused) and failure.maybe_billed
            work = _failed(failure.error, Usage(cost_usd=None) if unknown else Usage())
            return self._finished(phase, work, None, None)
        except MillwrightError as error:
            kind = ErrorKind.STORAGE if isinstance(error, Unavailable) else ErrorKind.WORKSPACE
            told = PhaseError(kind=kind, message=error.message, hint=error.hint)
            return self._finished(phase, _failed(told), None, None)
        except Exception as error:
            log.exception("phase.internal_error", phase=spec.name)
            return self._finished(phase, _failed(_internal(error)), None, None)

    def _clean(self, error: PhaseError | None) -> PhaseError | None:
        """The error boundary: nothing secret gets past it, and no error is empty."""
        if error is None:
            return None
        return error.model_copy(
            update={
                "message": self._redactor.redact(error.message) or f"The phase failed ({error.kind}).",
                "excerpt": self._redactor.redact(error.excerpt)[-EXCERPT_LIMIT:] or "(no output)",
                "hint": self._redactor.redact(error.hint),
            }
        )

    @asynccontextmanager
    async def _worktree(self, phase: PhaseInput, spec: WorkPhase, run: RunFacts) -> AsyncIterator[Worktree]:
        facts = run.workspace
        if facts is None or run.base_commit is None or run.base_tree is None:
            raise InvalidInput(
                f"Phase `{spec.name}` needs a repository, but the run has no workspace.",
                hint="Start the run with a workspace or --repo.",
                field="workspace",
            )
        where, tree = (facts.workspace_id, run.run_id), phase.tree or run.base_tree
        path = await self._workspaces.prepare(*where, facts.repo_path, run.base_commit)
        async with self._workspaces.lock(*where, wait_seconds=LOCK_WAIT_SECONDS):
            changed: tuple[str, ...] = ()
            if isinstance(spec, CommandPhase) and spec.verifies and run.pipeline.protected:
                changed = await self._workspaces.restore_for_verification(
                    *where, tree, run.base_tree, run.pipeline.protected
                )
            else:
                await self._workspaces.restore(*where, tree)
            yield Worktree(facts, path, tree, run.base_tree, run.base_commit, changed)

    async def _tree_after(self, phase: PhaseInput, spec: WorkPhase, worktree: Worktree, work: Work) -> str:
        """A verification, a review, a commit and a reply that could not be used leave the tree as it was recorded."""
        changed = work.status is PhaseStatus.PASSED if writes_tree(spec) else _command_that_may_write(spec)
        if not changed:
            return worktree.tree
        key = phase.key
        return await self._workspaces.snapshot(
            worktree.facts.workspace_id, key.run_id, label=f"{key.iteration}-{key.phase}-{key.attempt}"
        )

    def _finished(self, phase: PhaseInput, work: Work, worktree: Worktree | None, tree_after: str | None) -> Finished:
        result = PhaseResult(
            status=work.status,
            error=self._clean(work.error),
            fingerprint=work.fingerprint or (of_error(work.error) if work.error else None),
            tree=tree_after or phase.tree,
            tokens=work.usage.tokens_in + work.usage.tokens_out,
            cost_usd=work.usage.cost_usd,
            protected_changed=worktree.protected_changed if worktree else (),
            commit=work.commit.sha if work.commit else None,
            model=work.model_answered or work.model_asked,
        )
        return Finished(
            result=result,
            usage=work.usage,
            tree_before=phase.tree,
            tree_after=result.tree,
            exit_code=work.exit_code,
            signal=work.signal,
            model_asked=work.model_asked,
            model_answered=work.model_answered,
            summary=self._redactor.redact(work.summary[:SUMMARY_LIMIT]),
            artifacts=work.artifacts,
            commit=work.commit,
            branch=work.branch,
        )


def _stop_reason(details: activity.ActivityCancellationDetails | None) -> StopReason:
    """Only a cancel that was asked for cancels the run. When Temporal has given the work away (no heartbeat came in
    time, or an operator reset or paused the activity), this execution is the late one: another follows."""
    if details is None or details.cancel_requested:
        return StopReason.CANCELLED
    return StopReason.SHUTDOWN if details.worker_shutdown else StopReason.LEASE_LOST


def _command_that_may_write(spec: WorkPhase) -> bool:
    return isinstance(spec, CommandPhase) and not spec.verifies


def _stopped(reason: StopReason, spec: WorkPhase) -> Work:
    unknown = Usage(cost_usd=None) if isinstance(spec, ModelPhase | ReviewPhase) else Usage()
    if reason is StopReason.CANCELLED:
        error = PhaseError(
            kind=ErrorKind.CANCELLED,
            message=f"Phase {spec.name} was cancelled.",
            hint="Start the run again when it is wanted.",
        )
        return _failed(error, unknown)
    error = (
        _shutting_down()
        if reason is StopReason.SHUTDOWN
        else PhaseError(
            kind=ErrorKind.WORKER_LOST, message="The worker could not renew its lease and stopped its own work."
        )
    )
    return _failed(error, unknown)


def _failed(error: PhaseError, usage: Usage | None = None) -> Work:
    cancelled = error.kind is ErrorKind.CANCELLED
    status = PhaseStatus.CANCELLED if cancelled else PhaseStatus.FAILED
    return Work(status=status, error=error, summary=error.excerpt, usage=usage or Usage())


def _shutting_down() -> PhaseError:
    return PhaseError(
        kind=ErrorKind.WORKER_LOST,
        message="The worker was shut down while the phase ran.",
        hint="Nothing to do: another execution follows.",
    )


def _internal(error: Exception) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.INTERNAL,
        message=f"{type(error).__name__}: {error}",
        hint="This is a defect of Millwright or of a plugin: see the worker's log at this time.",
    )
