"""A worker's families, their labels, and the port that serves them."""

import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.telemetry.endpoint import MetricsEndpoint
from adapters.telemetry.metrics import LABEL_VALUES, WorkerMetrics
from domain.models.messages import CallTimes

TIMES = CallTimes(queue_seconds=0.1, api_seconds=2.0, run_seconds=0.01)


def samples(metrics: WorkerMetrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples
    }


def test_phases_by_kind_status_and_error() -> None:
    metrics = WorkerMetrics()
    metrics.phase_finished(kind="command", phase="verify", status="passed", error_kind=None, duration_seconds=2.0)
    metrics.phase_finished(
        kind="command", phase="verify", status="failed", error_kind="command_failed", duration_seconds=0.02
    )
    found = samples(metrics)
    passed = (("kind", "command"), ("status", "passed"))
    assert found["millwright_worker_phase_duration_seconds_sum", passed] == 2.0
    assert found["millwright_worker_phase_duration_seconds_bucket", (*passed[:1], ("le", "1.0"), passed[1])] == 0
    assert found["millwright_worker_phase_duration_seconds_bucket", (*passed[:1], ("le", "5.0"), passed[1])] == 1
    failed = (("kind", "command_failed"), ("phase", "verify"))
    assert found["millwright_worker_phase_failures_total", failed] == 1


def test_calls_count_unknown_as_unknown() -> None:
    metrics = WorkerMetrics()
    metrics.call_finished(provider="openai", error_kind=None, times=TIMES, tokens_in=10, tokens_out=None, cost_usd=0.25)
    metrics.call_finished(
        provider="openai", error_kind="timeout", times=TIMES, tokens_in=None, tokens_out=None, cost_usd=None
    )
    found = samples(metrics)
    provider = ("provider", "openai")
    assert found["millwright_worker_model_tokens_total", (provider, ("type", "input"))] == 10
    assert ("millwright_worker_model_tokens_total", (provider, ("type", "output"))) not in found
    assert found["millwright_worker_model_cost_usd_total", (provider,)] == 0.25
    assert found["millwright_worker_model_calls_unpriced_total", (provider,)] == 1
    assert found["millwright_worker_model_call_seconds_count", (("kind", "timeout"), provider)] == 1
    assert found["millwright_worker_model_call_queue_seconds_count", (provider,)] == 2


def test_labels_are_bounded() -> None:
    metrics = WorkerMetrics()
    for number in range(3 * LABEL_VALUES):
        metrics.phase_finished(
            kind="model", phase=f"p{number}", status="failed", error_kind="timeout", duration_seconds=1.0
        )
    found = {labels: value for (name, labels), value in samples(metrics).items() if "failures_total" in name}
    assert len(found) == LABEL_VALUES + 1
    assert found[("kind", "timeout"), ("phase", "other")] == 2 * LABEL_VALUES


@pytest.mark.parametrize("token", [None, "a-token"])
async def test_the_port_serves_metrics_and_health(token: str | None) -> None:
    with MetricsEndpoint(WorkerMetrics().render, token=token) as endpoint:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{endpoint.port}") as client:
            assert (await client.get("/healthz")).json() == {"status": "ok"}
            assert (await client.get("/other")).status_code == 404
            headers = {"authorization": f"Bearer {token}"} if token else {}
            answer = await client.get("/metrics", headers=headers)
            assert answer.status_code == 200
            assert "process_resident_memory_bytes" in answer.text
            if token:
                assert (await client.get("/metrics")).status_code == 401
                assert (await client.get("/metrics", headers={"authorization": "Bearer wrong"})).status_code == 401


def test_a_port_that_is_taken_is_an_error() -> None:
    with MetricsEndpoint(WorkerMetrics().render) as endpoint, pytest.raises(OSError, match="in use"):
        MetricsEndpoint(WorkerMetrics().render, port=endpoint.port)


def test_recording_is_cheap() -> None:
    """Measured at 10 microseconds a phase; the bound only tells it from something that renders or locks."""
    metrics = WorkerMetrics()
    began = time.process_time()
    for _ in range(1000):
        metrics.phase_finished(kind="model", phase="p", status="passed", error_kind=None, duration_seconds=1.0)
        metrics.call_finished(provider="x", error_kind=None, times=TIMES, tokens_in=1, tokens_out=1, cost_usd=0.1)
    assert time.process_time() - began < 1.0
