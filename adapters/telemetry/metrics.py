"""What one worker has done since it started, for Prometheus, and for OTLP where that is configured.

The record's totals are the API's /metrics; these families bear `worker` in their names, so that a sum over all
targets never counts a phase twice. Labels are bounded: what a person may name freely is cut off after LABEL_VALUES.
"""

from opentelemetry import metrics
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0 as CONTENT_TYPE
from prometheus_client.exposition import generate_latest

from domain.models.messages import CallTimes

__all__ = ["CONTENT_TYPE", "WorkerMetrics"]

LABEL_VALUES = 100
"""Different phase or provider names that are told apart; the rest is `other`."""
PHASE_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
CALL_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds."""


class _Bounded:
    """The first LABEL_VALUES values as they are."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._known:
            return value
        if len(self._known) >= LABEL_VALUES:
            return "other"
        self._known.add(value)
        return value


class WorkerMetrics:
    """Satisfies activities.runs.telemetry.PhaseMetrics and activities.models.telemetry.CallMetrics."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._phase_name, self._provider_name = _Bounded(), _Bounded()
        self._phases = Histogram(
            "millwright_worker_phase_duration_seconds",
            "Time of executions by phase kind and status.",
            ["kind", "status"],
            buckets=PHASE_BUCKETS,
            registry=registry,
        )
        self._failures = Counter(
            "millwright_worker_phase_failures",
            "Failed executions by phase and error kind.",
            ["phase", "kind"],
            registry=registry,
        )
        self._calls = Histogram(
            "millwright_worker_model_call_seconds",
            "Time that a provider took to answer, by its name and the error kind (`none`: it answered).",
            ["provider", "kind"],
            buckets=CALL_BUCKETS,
            registry=registry,
        )
        self._queue = Histogram(
            "millwright_worker_model_call_queue_seconds",
            "Time that a model call waited to be let through.",
            ["provider"],
            buckets=CALL_BUCKETS,
            registry=registry,
        )
        self._tokens = Counter(
            "millwright_worker_model_tokens", "Tokens as providers count them.", ["provider", "type"], registry=registry
        )
        self._cost = Counter(
            "millwright_worker_model_cost_usd", "Cost of the calls that have a price.", ["provider"], registry=registry
        )
        self._unpriced = Counter(
            "millwright_worker_model_calls_unpriced", "Calls whose cost is unknown.", ["provider"], registry=registry
        )
        meter = metrics.get_meter("millwright")
        self._otel_phases = meter.create_histogram("millwright.phase.duration", "s", "Time of executions.")
        self._otel_calls = meter.create_histogram("gen_ai.client.operation.duration", "s", "Time of a model call.")
        self._otel_tokens = meter.create_histogram("gen_ai.client.token.usage", "{token}", "Tokens of a model call.")

    def phase_finished(
        self, *, kind: str, phase: str, status: str, error_kind: str | None, duration_seconds: float
    ) -> None:
        self._phases.labels(str(kind), str(status)).observe(duration_seconds)
        if error_kind is not None:
            self._failures.labels(self._phase_name(phase), str(error_kind)).inc()
        self._otel_phases.record(
            duration_seconds, {"millwright.kind": str(kind), "millwright.status": str(status)}
            | ({} if error_kind is None else {"error.type": str(error_kind)}),
        )  # fmt: skip

    def call_finished(
        self,
        *,
        provider: str,
        error_kind: str | None,
        times: CallTimes,
        tokens_in: int | None,
        tokens_out: int | None,
        cost_usd: float | None,
    ) -> None:
        """`None` tokens are not counted as zero; a cost of None counts as unpriced."""
        provider = self._provider_name(provider)
        self._calls.labels(provider, error_kind or "none").observe(times.api_seconds)
        self._queue.labels(provider).observe(times.queue_seconds)
        attributes = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider}
        for direction, count in (("input", tokens_in), ("output", tokens_out)):
            if count is not None:
                self._tokens.labels(provider, direction).inc(count)
                self._otel_tokens.record(count, attributes | {"gen_ai.token.type": direction})
        if cost_usd is None:
            self._unpriced.labels(provider).inc()
        else:
            self._cost.labels(provider).inc(cost_usd)
        self._otel_calls.record(
            times.api_seconds, attributes if error_kind is None else attributes | {"error.type": error_kind}
        )

    def render(self) -> bytes:
        """The exposition, with CONTENT_TYPE."""
        return generate_latest(self._registry)
