"""The record's counts in Prometheus text format. Every process would say the same: they come from committed rows."""

from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0 as CONTENT_TYPE
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from domain.runs.views import LatencyHistogram, MetricsSnapshot
from domain.runs.words import RunStatus

__all__ = ["CONTENT_TYPE", "exposition"]


def exposition(snapshot: MetricsSnapshot) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Snapshot(snapshot))
    return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(self, snapshot: MetricsSnapshot) -> None:
        self._snapshot = snapshot

    def describe(self) -> list[Metric]:
        """Asked at registration; without it the registry would collect once more."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield self._runs()
        yield self._failures()
        yield self._seconds()
        yield from self._permits()
        yield GaugeMetricFamily(
            "millwright_requests_undelivered",
            "Recorded requests that Temporal does not have yet.",
            value=self._snapshot.undelivered_requests,
        )
        yield from self._workers()

    def _runs(self) -> Metric:
        family = GaugeMetricFamily("millwright_runs", "Runs by status; QUEUED is the queue's depth.", labels=["status"])
        for status in RunStatus:
            family.add_metric([status], self._snapshot.runs.get(status, 0))
        return family

    def _failures(self) -> Metric:
        family = CounterMetricFamily(
            "millwright_phase_failures", "Failed attempts by phase and error kind.", labels=["phase", "kind"]
        )
        for each in self._snapshot.phase_failures:
            family.add_metric([each.phase, each.kind], each.count)
        return family

    def _seconds(self) -> Metric:
        family = HistogramMetricFamily("millwright_phase_seconds", "Time of attempts by phase kind.", labels=["kind"])
        for each in self._snapshot.phase_seconds:
            family.add_metric([each.kind], _cumulative(each), each.sum_seconds)
        return family

    def _permits(self) -> Iterator[Metric]:
        size = GaugeMetricFamily("millwright_permits", "Permits that a pool has.", labels=["pool"])
        used = GaugeMetricFamily("millwright_permits_in_use", "Permits that are held now.", labels=["pool"])
        for pool in self._snapshot.pools:
            if pool.size is not None:
                size.add_metric([pool.name], pool.size)
            used.add_metric([pool.name], pool.in_use)
        yield size
        yield used

    def _workers(self) -> Iterator[Metric]:
        workers = self._snapshot.workers
        yield GaugeMetricFamily("millwright_workers", "Workers that the record has seen lately.", value=len(workers))
        if workers:
            age = (datetime.now(UTC) - max(worker.seen_at for worker in workers)).total_seconds()
            yield GaugeMetricFamily(
                "millwright_worker_seen_seconds", "Age of the newest sign of life of any worker.", value=max(age, 0.0)
            )


def _cumulative(histogram: LatencyHistogram) -> list[tuple[str, float]]:
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
    return buckets
