"""Spans and metrics reach a collector on a real socket, redacted; a collector that is gone costs one warning."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from structlog.testing import capture_logs

from adapters.secrets.redactor import SecretRedactor
from adapters.telemetry import otlp

REDACTOR = SecretRedactor(["planted-secret"])


class Collector(ThreadingHTTPServer):
    """Keeps what it was sent, by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Received)
        self.bodies: dict[str, list[bytes]] = {}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Received(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        import gzip

        body = self.rfile.read(int(self.headers["content-length"]))
        body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
        self.server.bodies.setdefault(self.path, []).append(body)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _build(endpoint: str) -> otlp.Telemetry:
    return otlp.build(endpoint, REDACTOR, process="worker", instance="host:1", version="0.1")


def _attributes(found: Any) -> dict[str, str]:
    return {each.key: each.value.string_value for each in found}


def test_spans_arrive_with_resource_parent_and_redacted_texts(collector: Collector) -> None:
    telemetry = _build(collector.endpoint)
    assert telemetry.tracing is not None
    tracer = telemetry.tracing.get_tracer("millwright")
    with (
        pytest.raises(ValueError, match="planted"),
        tracer.start_as_current_span("phase verify", attributes={"note": "has planted-secret", "n": 3}),
        tracer.start_as_current_span("chat m", attributes={"many": ["planted-secret", "plain"]}),
    ):
        raise ValueError("planted-secret")
    telemetry.shutdown()
    [body] = collector.bodies["/v1/traces"]
    assert b"planted" not in body
    request = ExportTraceServiceRequest.FromString(body)
    [resource_spans] = request.resource_spans
    assert _attributes(resource_spans.resource.attributes)["service.name"] == "millwright"
    assert _attributes(resource_spans.resource.attributes)["service.instance.id"] == "host:1"
    call, phase = resource_spans.scope_spans[0].spans
    assert (call.name, phase.name) == ("chat m", "phase verify")
    assert call.parent_span_id == phase.span_id
    assert call.end_time_unix_nano >= call.start_time_unix_nano > 0
    assert _attributes(phase.attributes)["note"] == "has [redacted]"
    assert [value.string_value for value in call.attributes[0].value.array_value.values] == ["[redacted]", "plain"]
    assert call.status.message == "ValueError: [redacted]"
    assert _attributes(call.events[0].attributes)["exception.message"] == "[redacted]"


def test_metrics_arrive(collector: Collector) -> None:
    telemetry = _build(collector.endpoint)
    assert telemetry.metering is not None
    telemetry.metering.get_meter("millwright").create_histogram("millwright.phase.duration", "s").record(1.5)
    telemetry.shutdown()
    request = ExportMetricsServiceRequest.FromString(collector.bodies["/v1/metrics"][-1])
    [metric] = request.resource_metrics[0].scope_metrics[0].metrics
    assert (metric.name, metric.unit, metric.histogram.data_points[0].sum) == ("millwright.phase.duration", "s", 1.5)


def test_a_collector_that_is_gone_costs_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        endpoint = f"http://user:planted-secret@127.0.0.1:{unused.getsockname()[1]}"
    with capture_logs() as lines:
        telemetry = _build(endpoint)
        assert telemetry.tracing is not None
        tracer = telemetry.tracing.get_tracer("millwright")
        for _ in range(3):
            with tracer.start_as_current_span("phase"):
                pass
            telemetry.tracing.force_flush(200)
        telemetry.shutdown()
    assert [line["event"] for line in lines] == ["telemetry.collector_unreachable"]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in lines[0]["hint"]
    assert "planted" not in str(lines)
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


def test_nothing_is_set_up_without_an_endpoint() -> None:
    telemetry = otlp.configure(None, REDACTOR, process="worker", instance="host:1", version="0.1")
    assert (telemetry.tracing, telemetry.metering) == (None, None)
    telemetry.shutdown()
