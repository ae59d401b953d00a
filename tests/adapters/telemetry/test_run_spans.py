"""One run is one trace: its phases hang under the run's own span, whichever process told them."""

from datetime import UTC, datetime
from uuid import UUID

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from activities.runs.telemetry import trace_of
from adapters.telemetry.run_spans import RunIds, RunSpans
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.outcome import Outcome
from domain.runs.words import OutcomeKind

RUN = UUID("01a1fe12-d2af-7330-9af1-baa6b9886291")
ORG = UUID("01a1fe12-0000-7330-9af1-baa6b9886291")


def test_phases_hang_under_their_run() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(id_generator=RunIds(), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("phase verify", context=trace_of(RUN)):
        tracer.start_span("chat").end()
    error = PhaseError(kind=ErrorKind.COMMAND_FAILED, message="verify failed")
    RunSpans(tracer).run_finished(
        org_id=ORG,
        run_id=RUN,
        pipeline="code-change",
        started_at_seconds=datetime(2026, 1, 1, tzinfo=UTC).timestamp(),
        outcome=Outcome(kind=OutcomeKind.STUCK, detail="implement", error=error),
    )
    spans = {span.name: span for span in kept.get_finished_spans()}
    run, phase, chat = spans["run code-change"], spans["phase verify"], spans["chat"]
    assert {span.context.trace_id for span in spans.values()} == {RUN.int}
    assert run.parent is None
    assert phase.parent is not None and phase.parent.span_id == run.context.span_id
    assert chat.parent is not None and chat.parent.span_id == phase.context.span_id
    assert phase.context.span_id != run.context.span_id
    assert run.attributes is not None and run.attributes["millwright.outcome"] == "stuck(implement)"
    assert run.start_time == datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1e9
    assert run.status.description == "verify failed"
