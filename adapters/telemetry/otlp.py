"""Spans and metrics over OTLP/HTTP, only where a collector is configured.

Without one, OpenTelemetry's own no-op tracer and meter stay in place and cost next to nothing. A collector that does
not answer never slows or fails a run: everything leaves from a thread of its own, through a bounded queue, and one
warning says that it is gone (one more line says that it is back).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import Status
from opentelemetry.util.types import Attributes, AttributeValue

from adapters.telemetry.run_spans import RunIds
from domain.redaction import Redactor

EXPORT_SECONDS = 3.0
"""Of one export with its retries; also the longest that the process's end waits for its last spans."""
METRICS_PERIOD_MS = 15_000.0
_NOISY = (
    "opentelemetry.exporter.otlp.proto.http",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.metrics._internal.export",
)
"""They log each failed export; `_Reach` says it once."""

log = structlog.get_logger("millwright.telemetry")


@dataclass(frozen=True)
class Telemetry:
    """What was set up; `shutdown` sends what is left, for at most EXPORT_SECONDS each."""

    tracing: TracerProvider | None = None
    metering: MeterProvider | None = None

    def shutdown(self) -> None:
        if self.tracing is not None:
            self.tracing.force_flush(int(EXPORT_SECONDS * 1000))
            self.tracing.shutdown()
        if self.metering is not None:
            self.metering.shutdown(EXPORT_SECONDS * 1000)


def configure(endpoint: str | None, redactor: Redactor, *, process: str, instance: str, version: str) -> Telemetry:
    """Once, in `__main__`. `endpoint` is the value of OTEL_EXPORTER_OTLP_ENDPOINT (None: nothing is set up);
    `process` is worker or api, `instance` names this one. The standard OTEL_EXPORTER_OTLP_HEADERS are honoured."""
    if not endpoint:
        return Telemetry()
    telemetry = build(endpoint, redactor, process=process, instance=instance, version=version)
    assert telemetry.tracing is not None and telemetry.metering is not None
    trace.set_tracer_provider(telemetry.tracing)
    metrics.set_meter_provider(telemetry.metering)
    return telemetry


def build(endpoint: str, redactor: Redactor, *, process: str, instance: str, version: str) -> Telemetry:
    """The two providers, without making them the process's own."""
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    resource = Resource.create(
        {
            "service.name": "millwright",
            "service.namespace": process,
            "service.instance.id": instance,
            "service.version": version,
        }
    )
    base, reach = endpoint.rstrip("/"), _Reach(redactor.redact(endpoint))
    tracing = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=RunIds())
    tracing.add_span_processor(BatchSpanProcessor(_SpanExporter(f"{base}/v1/traces", redactor, reach)))
    reader = PeriodicExportingMetricReader(
        _MetricExporter(f"{base}/v1/metrics", reach), export_interval_millis=METRICS_PERIOD_MS
    )
    metering = MeterProvider(metric_readers=[reader], resource=resource, shutdown_on_exit=False)
    return Telemetry(tracing, metering)


class _Reach:
    """Whether the collector answers; told when it changes."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._answers = True

    def tell(self, answers: bool) -> None:
        if answers == self._answers:
            return
        self._answers = answers
        if answers:
            log.info("telemetry.collector_back", endpoint=self._endpoint)
        else:
            log.warning(
                "telemetry.collector_unreachable",
                endpoint=self._endpoint,
                hint="Runs go on; spans and metrics are dropped until it answers (OTEL_EXPORTER_OTLP_ENDPOINT).",
            )


class _SpanExporter(OTLPSpanExporter):
    def __init__(self, endpoint: str, redactor: Redactor, reach: _Reach) -> None:
        super().__init__(endpoint=endpoint, timeout=EXPORT_SECONDS)
        self._redactor = redactor
        self._reach = reach

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(self._clean(spans))
        self._reach.tell(result is SpanExportResult.SUCCESS)
        return result

    def _clean(self, spans: Sequence[ReadableSpan]) -> Sequence[ReadableSpan]:
        """One look at all texts of the batch: it hardly ever holds a secret, and then nothing is copied."""
        texts = "\n".join(text for span in spans for text in texts_of(span))
        if self._redactor.redact(texts) == texts:
            return spans
        return [redacted(span, self._redactor.redact) for span in spans]


class _MetricExporter(OTLPMetricExporter):
    def __init__(self, endpoint: str, reach: _Reach) -> None:
        super().__init__(endpoint=endpoint, timeout=EXPORT_SECONDS)
        self._reach = reach

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: object
    ) -> MetricExportResult:
        result = super().export(metrics_data, timeout_millis, **kwargs)
        self._reach.tell(result is MetricExportResult.SUCCESS)
        return result


def texts_of(span: ReadableSpan) -> Iterator[str]:
    """Everything in a span that may hold a text of others: name, status, attributes, events."""
    yield span.name
    if span.status.description:
        yield span.status.description
    for found in (span.attributes, *(event.attributes for event in span.events)):
        for value in (found or {}).values():
            if isinstance(value, str):
                yield value
            elif isinstance(value, Sequence):
                yield from (each for each in value if isinstance(each, str))


def redacted(span: ReadableSpan, redact: Callable[[str], str]) -> ReadableSpan:
    """A copy whose texts are redacted: name, status, attributes, and events (recorded exceptions are events)."""

    def attributes(found: Attributes) -> Attributes:
        return None if found is None else {name: value_of(value) for name, value in found.items()}

    def value_of(value: AttributeValue) -> AttributeValue:
        if isinstance(value, str):
            return redact(value)
        if isinstance(value, Sequence) and not isinstance(value, bytes):
            return [redact(each) if isinstance(each, str) else each for each in value]
        return value

    status = span.status
    return ReadableSpan(
        name=redact(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes(span.attributes),
        events=[Event(event.name, attributes(event.attributes), event.timestamp) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(status.status_code, redact(status.description)) if status.description else status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
