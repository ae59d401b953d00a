"""One trace per run: its trace id is the run's id, and its root span is told when the run has ended."""

from contextvars import ContextVar
from datetime import UTC, datetime
from uuid import UUID

from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Status, StatusCode

from domain.runs.ids import run_span_id
from domain.runs.outcome import Outcome
from domain.runs.words import RunStatus

_root: ContextVar[UUID | None] = ContextVar("root", default=None)


class RunIds(RandomIdGenerator):
    """Random ids, but for the one span that stands for a run."""

    def generate_trace_id(self) -> int:
        run_id = _root.get()
        return super().generate_trace_id() if run_id is None else run_id.int

    def generate_span_id(self) -> int:
        run_id = _root.get()
        return super().generate_span_id() if run_id is None else run_span_id(run_id)


class RunSpans:
    """Satisfies activities.runs.telemetry.RunTelemetry."""

    def __init__(self, tracer: trace.Tracer | None = None) -> None:
        self._tracer = tracer or trace.get_tracer("millwright")

    def run_finished(
        self, *, org_id: UUID, run_id: UUID, pipeline: str, started_at_seconds: float, outcome: Outcome
    ) -> None:
        token = _root.set(run_id)
        try:
            span = self._tracer.start_span(
                f"run {pipeline}",
                context=trace.set_span_in_context(trace.INVALID_SPAN),
                start_time=int((started_at_seconds or datetime.now(UTC).timestamp()) * 1e9),
                attributes={
                    "millwright.run": str(run_id),
                    "millwright.org": str(org_id),
                    "millwright.pipeline": pipeline,
                    "millwright.outcome": str(outcome),
                },
            )
        finally:
            _root.reset(token)
        if outcome.status is RunStatus.FAILED:
            span.set_status(Status(StatusCode.ERROR, outcome.error.message if outcome.error else str(outcome)))
        span.end()
