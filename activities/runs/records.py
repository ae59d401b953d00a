"""Local activities of a run: short work on the record, never held up by phases in all slots."""

import structlog
from temporalio import activity

from activities.runs.telemetry import RunTelemetry
from domain.errors import InvalidInput, MillwrightError, NotFound
from domain.failpoints import Failpoints, Point
from domain.models.choice import ModelDefaults, StageModels
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.messages import RunStart
from domain.runs.run_ledger import (
    AppliedRequests,
    ApplyRequests,
    FinaliseRun,
    OpenedRun,
    OpenRun,
    RecordedRequest,
    RequestCancel,
    RunLedger,
    TemporalRequest,
)
from domain.runs.starting import check_models
from domain.workspaces.ports import Workspaces

log = structlog.get_logger("millwright.run")


class RunRecords:
    def __init__(
        self,
        *,
        ledger: RunLedger,
        workspaces: Workspaces,
        failpoints: Failpoints,
        telemetry: RunTelemetry,
        heartbeat_seconds: float,
        stage_models: StageModels,
    ) -> None:
        self._stage_models = stage_models
        self._ledger = ledger
        self._workspaces = workspaces
        self._failpoints = failpoints
        self._telemetry = telemetry
        self._heartbeat_seconds = heartbeat_seconds

    @activity.defn
    async def open_run(self, request: OpenRun) -> OpenedRun:
        """The run's record, made now when it was started by hand. Refusals are values: they end the workflow."""
        try:
            path = await self._ledger.repository_path(request.start)
            base = await self._workspaces.inspect(path) if path is not None else None
            await self._check_models(request.start)
            opened = await self._ledger.open(request, base)
        except (InvalidInput, NotFound) as error:
            return OpenedRun(refused=_invalid(error))
        if opened.state is None:
            return opened
        state = opened.state.model_copy(update={"heartbeat_seconds": self._heartbeat_seconds})
        return opened.model_copy(update={"state": state})

    async def _check_models(self, start: RunStart) -> None:
        """A start that names a model for every role has one for every phase: the record is not asked then."""
        facts = await self._ledger.start_facts(start) if start.settings.model is None else None
        if facts is not None:
            defaults = ModelDefaults(policy=facts.policy, environment=self._stage_models)
            check_models(facts.pipeline, start.settings, facts.workspace, defaults)

    @activity.defn
    async def finalise_run(self, request: FinaliseRun) -> None:
        self._failpoints.hit(Point.RUN_BEFORE_FINALISE)
        await self._ledger.finalise(request)
        self._failpoints.hit(Point.RUN_AFTER_FINALISE)
        log.info("run.finished", run=str(request.run_id), outcome=str(request.outcome), iterations=request.iterations)
        self._telemetry.run_finished(
            org_id=request.org_id,
            run_id=request.run_id,
            pipeline=request.pipeline,
            started_at_seconds=request.started_at_seconds,
            outcome=request.outcome,
        )

    @activity.defn
    async def apply_requests(self, request: ApplyRequests) -> AppliedRequests:
        return await self._ledger.apply_requests(request.org_id, request.run_id)

    @activity.defn
    async def record_request(self, request: TemporalRequest) -> RecordedRequest:
        request_id, status = await self._ledger.record_request(request)
        return RecordedRequest(request_id=request_id, status=status)

    @activity.defn
    async def request_cancel(self, request: RequestCancel) -> None:
        await self._ledger.request_cancel(request.org_id, request.run_id, actor=request.actor, reason=request.reason)


def _invalid(error: MillwrightError) -> PhaseError:
    where = f"{error.field}: " if error.field else ""
    return PhaseError(kind=ErrorKind.INVALID_REQUEST, message=f"{where}{error.message}", hint=error.hint)
