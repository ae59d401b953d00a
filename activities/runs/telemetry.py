"""What a phase tells while it runs: one span, JSON log lines with run, phase, attempt and duration, metrics."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Protocol
from uuid import UUID

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags

from domain.pipelines.spec import WorkPhase
from domain.runs.ids import run_span_id
from domain.runs.messages import PhaseInput
from domain.runs.outcome import Outcome
from domain.runs.ports import Finished, Lease, MustWait

log = structlog.get_logger("millwright.phase")


class PhaseMetrics(Protocol):
    """Bounded labels only; satisfied by adapters.telemetry."""

    def phase_finished(
        self, *, kind: str, phase: str, status: str, error_kind: str | None, duration_seconds: float
    ) -> None: ...


class RunTelemetry(Protocol):
    """Satisfied by adapters.telemetry."""

    def run_finished(
        self, *, org_id: UUID, run_id: UUID, pipeline: str, started_at_seconds: float, outcome: Outcome
    ) -> None: ...


def trace_of(run_id: UUID) -> Context:
    """Spans started in it belong to the run's trace, under the run's own span."""
    root = SpanContext(run_id.int, run_span_id(run_id), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return trace.set_span_in_context(NonRecordingSpan(root))


class Told:
    """One execution's telemetry, filled as it goes."""

    def __init__(self, span: trace.Span) -> None:
        self.span = span
        self.started = perf_counter()

    @property
    def seconds(self) -> float:
        return perf_counter() - self.started

    def wait(self, wait: MustWait) -> None:
        log.info("phase.waiting", reason=wait.reason, until=wait.until.isoformat())
        self.span.set_attribute("millwright.wait", wait.reason)

    def finished(self, finished: Finished) -> None:
        result = finished.result
        self.span.set_attribute("millwright.status", result.status)
        if result.error is not None:
            self.span.set_status(Status(StatusCode.ERROR, result.error.kind))

    def log_finished(self, finished: Finished, seconds: float) -> None:
        result = finished.result
        error_kind = result.error.kind if result.error else None
        log.info(
            "phase.finished",
            status=result.status,
            error_kind=error_kind,
            duration_ms=round(seconds * 1000, 2),
            exit_code=finished.exit_code,
            tokens=result.tokens,
        )


class PhaseTelemetry:
    def __init__(self, metrics: PhaseMetrics) -> None:
        self._tracer = trace.get_tracer("millwright")
        self._metrics = metrics

    @contextmanager
    def phase(self, phase: PhaseInput, spec: WorkPhase, lease: Lease) -> Iterator[Told]:
        key = phase.key
        attributes: dict[str, str | int] = {
            "millwright.run": str(key.run_id),
            "millwright.phase": key.phase,
            "millwright.kind": str(spec.kind),
            "millwright.iteration": key.iteration,
            "millwright.attempt": key.attempt,
            "millwright.execution": lease.number,
        }
        with (
            self._tracer.start_as_current_span(
                f"phase {key.phase}", context=trace_of(key.run_id), attributes=attributes
            ) as span,
            structlog.contextvars.bound_contextvars(
                org=str(key.org_id),
                run=str(key.run_id),
                phase=key.phase,
                iteration=key.iteration,
                attempt=key.attempt,
                execution=lease.number,
            ),
        ):
            log.debug("phase.started", cause=phase.cause)
            yield Told(span)

    def finished(self, told: Told, spec: WorkPhase, finished: Finished) -> None:
        told.finished(finished)
        asyncio.get_running_loop().call_soon(self._tell, told, spec, finished, told.seconds)

    def _tell(self, told: Told, spec: WorkPhase, finished: Finished, seconds: float) -> None:
        """While the result is on its way: nobody waits for it."""
        told.log_finished(finished, seconds)
        error = finished.result.error
        self._metrics.phase_finished(
            kind=spec.kind,
            phase=spec.name,
            status=finished.result.status,
            error_kind=error.kind if error else None,
            duration_seconds=seconds,
        )
