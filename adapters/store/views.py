"""What people read of runs, from committed rows alone: one statement, so one moment, for each view."""

import base64
import binascii
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from adapters.store.database import Connection, Database
from adapters.store.metrics import read_metrics
from domain.errors import InvalidInput, NotFound
from domain.runs.views import (
    AttemptView,
    ChunkView,
    EventView,
    MetricsSnapshot,
    PermitView,
    PhaseView,
    PoolView,
    RunFilter,
    RunListItem,
    RunPage,
    RunView,
)
from domain.workspaces.packs import PACK_MEDIA_TYPE

COUNTED_AT_MOST = 10_000
"""With filters beyond status the total is exact up to here; offsets end here."""

_USAGE = """jsonb_build_object('tokens_in', tokens_in, 'tokens_out', tokens_out, 'tokens_cached', tokens_cached,
    'cost_usd', cost_usd::text, 'known_cost_usd', known_cost_usd::text, 'api_seconds', api_seconds) AS usage"""
_ITEM = f"""id, status, outcome_kind, outcome_detail, error, title, pipeline_name, workspace_name, branch,
    settings->>'model' AS model, actor,
    created_at, started_at, finished_at, cancel_requested_at, current_phase, current_iteration, waiting_reason,
    waiting_until, iterations,
    (SELECT last_problem FROM outbox o WHERE o.run_id = r.id ORDER BY o.id LIMIT 1) AS delivery_problem, {_USAGE}"""
_TOTAL = """SELECT coalesce(sum(amount), 0)::bigint AS total FROM (
        SELECT a, amount FROM tally WHERE org_id = %(org)s AND name = 'runs'
        UNION ALL SELECT a, amount FROM tally_delta WHERE org_id = %(org)s AND name = 'runs'
    ) counted WHERE %(status)s::text IS NULL OR a = %(status)s"""

_RUN = f"""
SELECT jsonb_build_object(
    'run', (SELECT to_jsonb(x) FROM (
        SELECT {_ITEM}, task, settings, protected_changed, workspace_id, base_commit, base_tree, delivered_branch,
               workflow_id, workflow_run_id, event_seq AS newest_event,
               (SELECT coalesce(jsonb_agg(data->>'message' ORDER BY seq), '[]') FROM run_event e
                 WHERE e.run_id = r.id AND e.type = 'run.warning') AS warnings,
               (SELECT repo_path FROM workspace w WHERE w.id = r.workspace_id) AS repo_path,
               (SELECT document FROM pipeline_version v WHERE v.id = r.pipeline_version_id) AS pipeline,
               (SELECT content_hash FROM pipeline_version v WHERE v.id = r.pipeline_version_id) AS pipeline_hash
        FROM run r WHERE r.id = %(run)s) x),
    'attempts', (SELECT jsonb_agg(to_jsonb(x) ORDER BY created_at, id) FROM (
        SELECT id, iteration, phase, attempt, kind, cause, status, stale, error, fingerprint, summary, tree_before,
               tree_after, exit_code, signal, model_asked, model_answered, commit_facts AS commit, branch,
               turns, waiting_reason, waiting_until, created_at, started_at, finished_at, {_USAGE}
        FROM attempt WHERE run_id = %(run)s) x),
    'executions', (SELECT jsonb_agg(to_jsonb(x) ORDER BY ordinal) FROM (
        SELECT id, attempt_id, number, ordinal, status, worker, started_at, ended_at, error, {_USAGE}
        FROM execution WHERE run_id = %(run)s) x),
    'steps', (SELECT jsonb_agg(to_jsonb(x) ORDER BY started_at, id) FROM (
        SELECT id, attempt_id, execution_id, key, kind, title, effect, status, started_at, ended_at, queue_seconds,
               api_seconds, run_seconds, exit_code, signal, error, tail, provider, model_asked, model_answered,
               tokens_in, tokens_out, tokens_cached, cost_usd::text, price_version, reply_sha256
        FROM step WHERE run_id = %(run)s) x),
    'artifacts', (SELECT jsonb_agg(to_jsonb(x) ORDER BY number) FROM (
        SELECT id AS number, attempt_id, name, sha256, size_bytes, media_type
        FROM artifact WHERE run_id = %(run)s AND media_type <> '{PACK_MEDIA_TYPE}') x),
    'requests', (SELECT jsonb_agg(to_jsonb(x) ORDER BY created_at) FROM (
        SELECT id, kind, status, actor, coalesce(payload->>'reason', '') AS reason, problem, created_at, sent_at,
               settled_at
        FROM request WHERE run_id = %(run)s) x))::text"""


class PostgresViews:
    def __init__(self, database: Database, *, counted_at_most: int = COUNTED_AT_MOST) -> None:
        self._database = database
        self._counted_at_most = counted_at_most

    async def list_runs(
        self, org_id: UUID, chosen: RunFilter, *, limit: int, offset: int = 0, cursor: str | None = None
    ) -> RunPage:
        """Newest first. Raises InvalidInput for an offset beyond COUNTED_AT_MOST or a cursor that is none."""
        if offset > COUNTED_AT_MOST:
            raise InvalidInput(
                f"An offset beyond {COUNTED_AT_MOST:,} is not served.",
                hint="Follow `next_cursor` from page to page instead.",
                field="offset",
            )
        values: dict[str, Any] = {
            "org": org_id,
            "status": chosen.status,
            "pipeline": chosen.pipeline,
            "workspace": chosen.workspace,
            "limit": limit + 1,
            "offset": offset,
            "most": self._counted_at_most + 1,
        }
        where = ["org_id = %(org)s"]
        where += [f"{column} = %({name})s" for name, column in _FILTERS.items() if values[name] is not None]
        page_where = list(where)
        if cursor is not None:
            values["before"], values["before_id"] = _read_cursor(cursor)
            page_where.append("(created_at, id) < (%(before)s, %(before_id)s)")
        async with self._database.organization(org_id) as connection:
            rows = await _dicts(
                connection,
                f"SELECT {_ITEM} FROM run r WHERE {' AND '.join(page_where)}"
                " ORDER BY created_at DESC, id DESC LIMIT %(limit)s OFFSET %(offset)s",
                values,
            )
            only_status = chosen.pipeline is None and chosen.workspace is None
            counted = f"SELECT count(*) AS total FROM (SELECT 1 FROM run WHERE {' AND '.join(where)} LIMIT %(most)s) x"
            [count] = await _dicts(connection, _TOTAL if only_status else counted, values)
        runs = tuple(RunListItem.model_validate(row) for row in rows[:limit])
        exact = only_status or count["total"] <= self._counted_at_most
        return RunPage(
            runs=runs,
            total=count["total"] if exact else None,
            total_at_least=None if exact else self._counted_at_most,
            next_cursor=_cursor(runs[-1]) if len(rows) > limit else None,
        )

    async def run(self, org_id: UUID, run_id: UUID) -> RunView:
        """Raises NotFound."""
        async with self._database.organization(org_id) as connection:
            row = await (await connection.execute(_RUN.encode(), {"run": run_id})).fetchone()
        assert row is not None, "a SELECT without FROM has one row"
        found = json.loads(row[0])
        if found["run"] is None:
            raise _no_run(run_id)
        phases = _phases(found)
        return RunView.model_validate(found["run"] | {"phases": phases, "requests": found["requests"] or ()})

    async def events(self, org_id: UUID, run_id: UUID, *, after: int, limit: int) -> Sequence[EventView]:
        """Raises NotFound."""
        query = (
            "SELECT seq, type, at, iteration, phase, attempt, execution, actor, data FROM run_event"
            " WHERE run_id = %(run)s AND seq > %(after)s ORDER BY seq LIMIT %(limit)s"
        )
        rows = await self._of_run(org_id, run_id, query, {"after": after, "limit": limit})
        return [EventView.model_validate(row) for row in rows]

    async def chunks(self, org_id: UUID, run_id: UUID, *, after: tuple[int, int], limit: int) -> Sequence[ChunkView]:
        """Live output behind (execution ordinal, sequence). Raises NotFound."""
        query = (
            "SELECT execution_ordinal, seq, text, at FROM output_chunk WHERE run_id = %(run)s"
            " AND (execution_ordinal, seq) > (%(execution)s, %(seq)s) ORDER BY execution_ordinal, seq LIMIT %(limit)s"
        )
        values = {"execution": after[0], "seq": after[1], "limit": limit}
        return [ChunkView.model_validate(row) for row in await self._of_run(org_id, run_id, query, values)]

    async def _of_run(
        self, org_id: UUID, run_id: UUID, query: str, values: Mapping[str, object]
    ) -> list[dict[str, Any]]:
        async with self._database.organization(org_id) as connection:
            rows = await _dicts(connection, query, {**values, "run": run_id})
            if not rows and not await _dicts(connection, "SELECT 1 FROM run WHERE id = %(run)s", {"run": run_id}):
                raise _no_run(run_id)
        return rows

    async def pools(self, org_id: UUID) -> Sequence[PoolView]:
        """The executors' pool, and the organization's own provider pools in use."""
        ours = f"provider/{org_id}/"
        async with self._database.system() as connection:
            pools = await _dicts(
                connection,
                "SELECT p.name, p.size, 0 AS in_use FROM permit_pool p UNION ALL"
                " SELECT DISTINCT pool, NULL::int, 0 FROM permit"
                " WHERE starts_with(pool, %(ours)s) AND expires_at > clock_timestamp() ORDER BY name",
                {"ours": ours},
            )
            held = await _dicts(
                connection,
                "SELECT pool, org_id, run_id, phase, iteration, attempt, worker, acquired_at, expires_at FROM permit"
                " WHERE expires_at > clock_timestamp() ORDER BY acquired_at",
                {},
            )
        return [
            PoolView(
                name=pool["name"].removeprefix(ours) if pool["size"] is None else pool["name"],
                size=pool["size"],
                in_use=sum(permit["pool"] == pool["name"] for permit in held),
                permits=tuple(
                    PermitView.model_validate({name: value for name, value in permit.items() if name != "org_id"})
                    for permit in held
                    if permit["pool"] == pool["name"] and permit["org_id"] == org_id
                ),
            )
            for pool in pools
        ]

    async def metrics(self) -> MetricsSnapshot:
        async with self._database.system() as connection:
            return await read_metrics(connection)


_FILTERS = {"status": "status", "pipeline": "pipeline_name", "workspace": "workspace_name"}


def _phases(found: dict[str, Any]) -> tuple[PhaseView, ...]:
    """Rows of one run put together: steps into executions, those and artifacts into attempts, those into phases."""
    steps = _by(found["steps"], "execution_id", drop=("attempt_id",))
    waits = _by((s for s in found["steps"] or () if s["execution_id"] is None), "attempt_id", drop=("execution_id",))
    executions = _by(
        ({**e, "steps": steps[e["id"]]} for e in found["executions"] or ()),
        "attempt_id",
    )
    artifacts = _by(found["artifacts"], "attempt_id", drop=("number",))
    phases: dict[tuple[int, str], list[AttemptView]] = defaultdict(list)
    for row in found["attempts"] or ():
        more = {"executions": executions[row["id"]], "artifacts": artifacts[row["id"]], "waits": waits[row["id"]]}
        attempt = AttemptView.model_validate({**row, **more})
        phases[attempt.iteration, attempt.phase].append(attempt)
    return tuple(
        PhaseView(
            iteration=iteration,
            phase=phase,
            kind=attempts[0].kind,
            attempts=tuple(sorted(attempts, key=lambda attempt: attempt.attempt)),
        )
        for (iteration, phase), attempts in phases.items()
    )


def _by(rows: Iterable[dict[str, Any]] | None, column: str, *, drop: Sequence[str] = ()) -> dict[Any, list[Any]]:
    grouped: dict[Any, list[Any]] = defaultdict(list)
    for row in rows or ():
        grouped[row[column]].append({n: v for n, v in row.items() if n != column and n not in drop})
    return grouped


async def _dicts(connection: Connection, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = connection.cursor(row_factory=dict_row)
    return await (await cursor.execute(query.encode(), values)).fetchall()


def _cursor(last: RunListItem) -> str:
    return base64.urlsafe_b64encode(f"{last.created_at.isoformat()}|{last.id}".encode()).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[datetime, UUID]:
    try:
        moment, _, run_id = (
            base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode().partition("|")
        )
        created_at = datetime.fromisoformat(moment)
        if created_at.tzinfo is None:
            raise ValueError("no time zone")
        return created_at, UUID(run_id)
    except (ValueError, binascii.Error):
        raise InvalidInput(
            "The cursor is not one that this API gave.", hint="Take `next_cursor` of the page before.", field="cursor"
        ) from None


def _no_run(run_id: UUID) -> NotFound:
    return NotFound(f"There is no run {run_id}.", hint="Look at the list of runs.", field="run_id")
