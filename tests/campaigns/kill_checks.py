"""What must hold after the kills (and some of it at any moment between them), read by SQL and git."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import psycopg

from benchmarks.local_stack import LocalStack, Row
from tests.campaigns.cases import git
from tests.campaigns.harness import Ended
from tests.campaigns.kill_runs import KillRun

AT_ANY_MOMENT: Mapping[str, str] = {
    "a waiting attempt has an execution or a permit": """
        SELECT a.run_id, a.phase FROM attempt a WHERE a.status = 'waiting' AND (
            EXISTS (SELECT 1 FROM execution e WHERE e.attempt_id = a.id AND e.status = 'running')
            OR EXISTS (SELECT 1 FROM permit p WHERE p.holder = a.id AND p.expires_at > clock_timestamp()))""",
    "more permits than the pool has": """
        SELECT o.name FROM permit_pool o WHERE o.name = 'executor' AND o.size < (
            SELECT count(*) FROM permit p WHERE p.pool = o.name AND p.expires_at > clock_timestamp())""",
    "a lease longer than its time to live": """
        SELECT pool, run_id FROM permit WHERE expires_at > clock_timestamp() + interval '60 s'""",
    "two executions of one attempt at once": """
        SELECT attempt_id FROM execution WHERE status = 'running' GROUP BY attempt_id HAVING count(*) > 1""",
    "a sequence of events with a hole": """
        SELECT r.id FROM run r JOIN run_event v ON v.run_id = r.id GROUP BY r.id, r.event_seq
        HAVING count(*) <> r.event_seq OR max(v.seq) <> r.event_seq OR min(v.seq) <> 1""",
    "status and events disagree": """
        SELECT r.id, r.status FROM run r
        LEFT JOIN run_event f ON f.run_id = r.id AND f.type = 'run.finished'
        WHERE (r.finished_at IS NULL) <> (f.run_id IS NULL)
           OR f.data->>'status' <> r.status OR f.data->>'outcome' <> r.outcome_kind""",
}

AT_THE_END: Mapping[str, str] = {
    **AT_ANY_MOMENT,
    "a run without an end": "SELECT id, status FROM run WHERE finished_at IS NULL",
    "an attempt without an end": """
        SELECT run_id, phase, status FROM attempt WHERE result IS NULL OR finished_at IS NULL""",
    "an execution without an end": "SELECT run_id, status FROM execution WHERE status = 'running' OR ended_at IS NULL",
    "a step without an end": "SELECT run_id, key FROM step WHERE status = 'running'",
    "a permit of a run": "SELECT pool, run_id, phase, expires_at FROM permit WHERE run_id IS NOT NULL",
    "a request neither applied nor refused": """
        SELECT run_id, kind, status FROM request WHERE status NOT IN ('applied', 'refused')""",
    "a request not delivered": "SELECT run_id, kind, last_problem FROM outbox",
    "a run still listed as open": "SELECT run_id FROM open_run",
    "the last event is not the end": """
        SELECT DISTINCT ON (run_id) run_id, type FROM run_event v
        WHERE NOT EXISTS (SELECT 1 FROM run_event l WHERE l.run_id = v.run_id AND l.seq > v.seq)
          AND type NOT IN ('run.finished', 'request.refused', 'request.applied')""",
    "an event that comes once, missing or doubled": """
        SELECT r.id, t.type, count(v.seq) FROM run r
        CROSS JOIN (VALUES ('run.queued'), ('run.started'), ('run.finished')) t (type)
        LEFT JOIN run_event v ON v.run_id = r.id AND v.type = t.type GROUP BY r.id, t.type HAVING count(v.seq) <> 1""",
    "an execution whose start was not told": """
        SELECT e.run_id, e.number FROM execution e WHERE NOT EXISTS (SELECT 1 FROM run_event v
            WHERE v.run_id = e.run_id AND v.seq = e.ordinal AND v.type = 'phase.started' AND v.execution = e.number)""",
    "a started phase without its execution": """
        SELECT v.run_id, v.seq FROM run_event v WHERE v.type = 'phase.started'
        AND NOT EXISTS (SELECT 1 FROM execution e WHERE e.run_id = v.run_id AND e.ordinal = v.seq)""",
    "a lost execution that was not told": """
        SELECT e.run_id, e.number FROM execution e JOIN attempt a ON a.id = e.attempt_id
        WHERE e.status = 'lost' AND NOT EXISTS (SELECT 1 FROM run_event v
            WHERE v.run_id = e.run_id AND v.type = 'phase.lost' AND v.phase = a.phase
              AND v.iteration = a.iteration AND v.execution = e.number)""",
    "an attempt whose end was told not once": """
        SELECT a.run_id, a.phase, count(v.seq) FROM attempt a LEFT JOIN run_event v ON v.run_id = a.run_id
            AND v.type = 'phase.finished' AND v.phase = a.phase AND v.iteration = a.iteration AND v.attempt = a.attempt
        GROUP BY a.id HAVING count(v.seq) <> 1""",
    "two commits in one iteration": """
        SELECT run_id, iteration FROM run_event WHERE type = 'commit.created' AND iteration > 0
        GROUP BY run_id, iteration HAVING count(*) > 1""",
    "a failed attempt without kind, message or excerpt": """
        SELECT run_id, phase, error FROM attempt WHERE status IN ('failed', 'cancelled') AND (
            coalesce(error->>'kind', '') = '' OR coalesce(error->>'message', '') = ''
            OR coalesce(error->>'excerpt', '') = '')""",
    "an execution while its attempt waited": """
        SELECT w.run_id, w.seq, e.number FROM run_event w
        JOIN attempt a ON (a.run_id, a.iteration, a.phase, a.attempt) = (w.run_id, w.iteration, w.phase, w.attempt)
        JOIN execution e ON e.attempt_id = a.id AND e.ended_at > w.at
        WHERE w.type = 'phase.waiting' AND e.ordinal < coalesce((
            SELECT min(n.seq) FROM run_event n WHERE n.run_id = w.run_id AND n.seq > w.seq AND n.type = 'phase.started'
               AND (n.iteration, n.phase, n.attempt) = (w.iteration, w.phase, w.attempt)), 2147483647)""",
    "an answer that was paid twice": """
        SELECT run_id, attempt_id FROM step WHERE kind = 'model_call' AND status = 'done'
        GROUP BY run_id, attempt_id HAVING count(*) > 1""",
}
RUNS_THAT_WAITED = "SELECT count(DISTINCT run_id) AS n FROM run_event WHERE type = 'phase.waiting'"
PATIENCE_SECONDS = 90.0
"""A lease of a killed holder ends by itself after 60 s and is then swept."""

Event = tuple[UUID, int, str]


class Watch:
    """Looks all the time: at what must hold at any moment, and at events, none of which may vanish again."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self._seen: set[Event] = set()
        self.off: Counter[str] = Counter()
        self.looks = 0

    async def run(self) -> None:
        """Until cancelled. A database that is down is looked at again."""
        while True:
            with suppress(psycopg.OperationalError):
                await asyncio.to_thread(self.look)
            await asyncio.sleep(1.0)

    def look(self) -> None:
        for name, query in AT_ANY_MOMENT.items():
            for row in self._stack.sql(query):
                self.off[f"{name}: {_said(row)}"] += 1
        self._seen |= self._events()
        self.looks += 1

    def lost_events(self) -> list[str]:
        return [
            f"event {seq} {kind} of {run_id} was there and is gone" for run_id, seq, kind in self._seen - self._events()
        ]

    def _events(self) -> set[Event]:
        rows = self._stack.sql("SELECT run_id, seq, type FROM run_event")
        return {(row["run_id"], row["seq"], row["type"]) for row in rows}


async def until_all_wait(stack: LocalStack, runs: int) -> None:
    """Until so many runs wait at the same moment. Raises TimeoutError."""
    waiting = "SELECT count(*) AS n FROM run WHERE status = 'WAITING'"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await stack.ask_patiently(waiting))[0]["n"] < runs:  # noqa: ASYNC110 - other processes do it
            await asyncio.sleep(0.2)


async def off_at_the_end(stack: LocalStack) -> list[str]:
    """What is off in the record; leases of killed holders get the time that they have."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while found := [f"{name}: {_said(row)}" for name, query in AT_THE_END.items() for row in stack.sql(query)]:
        if time.monotonic() > deadline:
            return found
        await asyncio.sleep(2.0)
    return []


def commits_off(stack: LocalStack, remote: Path, runs: Sequence[KillRun], ends: Sequence[Ended]) -> list[str]:
    """One commit per iteration on the run's branch, in the workspace and, when the run was verified, in the remote."""
    rows = {
        row["id"]: row for row in stack.sql("SELECT id, workspace_id, branch, base_commit, delivered_branch FROM run")
    }
    off = []
    for run, end in zip(runs, ends, strict=True):
        row = rows.get(end.run_id)
        if row is None:
            off.append(f"{end.name}: not in the record")
            continue
        clone = stack.folder.path / "workspaces" / str(row["workspace_id"]) / "repo.git"
        verified = run.kind.outcome == "verified"
        if verified != (row["delivered_branch"] is not None):
            off.append(f"{end.name}: delivered {row['delivered_branch']}")
        for where in [clone, remote] if verified else [clone]:
            made = _iterations(where, row["branch"], row["base_commit"])
            if made != [str(number + 1) for number in range(run.kind.commits)]:
                off.append(f"{end.name}: commits of iterations {made} in {where.name}, not {run.kind.commits}")
    return off


def _iterations(repo: Path, branch: str, base: str) -> list[str]:
    """The iteration of each commit over the base, oldest first."""
    if not git(repo, "for-each-ref", f"refs/heads/{branch}"):
        return []
    form = "%(trailers:key=Millwright-Iteration,valueonly,separator=)"
    return git(repo, "log", "--reverse", f"--format={form}", f"refs/heads/{branch}", f"^{base}").split()


def _said(row: Row) -> str:
    return " ".join(f"{name}={value}" for name, value in row.items())
