"""Counters and gauges over all organizations, from the tallies that the writers keep: no scan of runs."""

from collections import defaultdict
from typing import Any

from psycopg.rows import dict_row

from adapters.store.database import Connection
from domain.runs.views import (
    PHASE_SECONDS_BOUNDS,
    FailureCount,
    LatencyHistogram,
    MetricsSnapshot,
    PoolView,
    WorkerView,
)
from domain.runs.words import RunStatus

NAMED_PHASES = 50
"""Users name phases as they like: the labels are those with most failures, the rest is `other`."""
WORKER_SECONDS = 60.0
"""A worker that was not seen for so long is not listed."""

_TALLIES = """
SELECT name, a, b, sum(amount)::bigint AS amount, sum(seconds) AS seconds FROM (
    SELECT name, a, b, amount, seconds FROM tally
    UNION ALL SELECT name, a, b, amount, seconds FROM tally_delta
) counted GROUP BY name, a, b ORDER BY name, a, b"""
_POOLS = """
SELECT p.name, p.size, count(h.token) AS in_use FROM permit_pool p
LEFT JOIN permit h ON h.pool = p.name AND h.expires_at > clock_timestamp() GROUP BY p.name, p.size ORDER BY p.name"""
_WORKERS = """
SELECT id, host, pid, slots, started_at, seen_at FROM worker
WHERE seen_at > clock_timestamp() - make_interval(secs => %s) ORDER BY id"""


async def read_metrics(connection: Connection) -> MetricsSnapshot:
    cursor = connection.cursor(row_factory=dict_row)
    tallies = await (await cursor.execute(_TALLIES)).fetchall()
    pools = await (await cursor.execute(_POOLS)).fetchall()
    workers = await (await cursor.execute(_WORKERS, (WORKER_SECONDS,))).fetchall()
    [outbox] = await (await cursor.execute("SELECT count(*) AS waiting FROM outbox")).fetchall()
    by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in tallies:
        by_name[row["name"]].append(row)
    counts = {row["a"]: row["amount"] for row in by_name["runs"]}
    return MetricsSnapshot(
        runs={status: counts.get(status, 0) for status in RunStatus},
        phase_failures=_failures(by_name["phase_failures"]),
        phase_seconds=_histograms(by_name["phase_seconds"]),
        pools=tuple(PoolView.model_validate(row) for row in pools),
        undelivered_requests=outbox["waiting"],
        workers=tuple(WorkerView.model_validate(row) for row in workers),
    )


def _failures(rows: list[dict[str, Any]]) -> tuple[FailureCount, ...]:
    of_phase: dict[str, int] = defaultdict(int)
    for row in rows:
        of_phase[row["a"]] += row["amount"]
    named = set(sorted(of_phase, key=lambda phase: (-of_phase[phase], phase))[:NAMED_PHASES])
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        counts[row["a"] if row["a"] in named else "other", row["b"]] += row["amount"]
    return tuple(FailureCount(phase=phase, kind=kind, count=count) for (phase, kind), count in sorted(counts.items()))


def _histograms(rows: list[dict[str, Any]]) -> tuple[LatencyHistogram, ...]:
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        kinds[row["a"]].append(row)
    return tuple(
        LatencyHistogram(
            kind=kind,
            bounds=PHASE_SECONDS_BOUNDS,
            counts=tuple(
                sum(row["amount"] for row in buckets if int(row["b"]) == index)
                for index in range(len(PHASE_SECONDS_BOUNDS) + 1)
            ),
            sum_seconds=sum(row["seconds"] for row in buckets),
        )
        for kind, buckets in sorted(kinds.items())
    )
