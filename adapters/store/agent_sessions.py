"""The session of an external agent that a phase may go on with (port: domain.agents.external.EarlierSessions)."""

from adapters.store.database import Database
from domain.agents.external import EarlierSession
from domain.agents.ports import AgentSession
from domain.runs.messages import AttemptKey
from domain.runs.ports import Lease
from domain.runs.words import PhaseStatus


class PostgresEarlierSessions:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, key: AttemptKey, lease: Lease) -> EarlierSession | None:
        async with self._database.organization(key.org_id) as connection:
            found = await connection.execute(
                "SELECT s.executor, s.session_id, s.data, a.id, a.status"
                " FROM attempt a JOIN agent_session s ON s.attempt_id = a.id"
                " WHERE a.run_id = %s AND a.phase = %s AND NOT a.stale AND (a.id = %s OR a.iteration < %s)"
                " ORDER BY a.id = %s DESC, s.changed_at DESC LIMIT 1",
                (key.run_id, key.phase, lease.attempt_id, key.iteration, lease.attempt_id),
            )
            row = await found.fetchone()
        if row is None:
            return None
        executor, session_id, data, attempt_id, status = row
        return EarlierSession(
            session=AgentSession(executor=executor, session_id=session_id, data=data),
            same_attempt=attempt_id == lease.attempt_id,
            status=PhaseStatus(status),
        )

    async def count_turns(self, key: AttemptKey, lease: Lease, turns: int) -> None:
        async with self._database.organization(key.org_id) as connection:
            await connection.execute(
                "UPDATE attempt SET turns = %s WHERE id = %s AND turns < %s"
                " AND EXISTS (SELECT 1 FROM execution WHERE id = %s AND token = %s AND status = 'running')",
                (turns, lease.attempt_id, turns, lease.execution_id, lease.token),
            )
