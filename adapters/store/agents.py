"""AgentRecord and AgentSessions over PostgreSQL: one statement each (migrations/sql/0003/agents.sql)."""

from collections.abc import Callable
from uuid import UUID

from adapters.store.database import Database
from adapters.store.documents import arguments, document, embed
from domain.agents.ports import AgentCheckpoint, AgentSession, OpenedAgent
from domain.runs.messages import AttemptKey
from domain.runs.ports import Lease


class PostgresAgentRecord:
    """`told` is called with the run's id after each write that viewers want to see."""

    def __init__(self, database: Database, told: Callable[[UUID], None]) -> None:
        self._database = database
        self._told = told

    async def open(self, key: AttemptKey, lease: Lease) -> OpenedAgent:
        found = await self._database.one("SELECT agent_open(%s::jsonb)::text", _leased(key, lease))
        return OpenedAgent.model_validate_json(found)

    async def checkpoint(self, key: AttemptKey, lease: Lease, checkpoint: AgentCheckpoint) -> bool:
        segment = checkpoint.segment
        plain = _leased(
            key,
            lease,
            number=segment.number,
            turn=segment.turn,
            tree=segment.tree,
            sha256=segment.sha256,
            size_bytes=segment.size_bytes,
            artifacts=[artifact.model_dump(mode="json") for artifact in checkpoint.artifacts],
            output=checkpoint.output,
            output_sequence=checkpoint.output_sequence,
        )
        ended = document(checkpoint.ended) if checkpoint.ended is not None else None
        held: bool = await self._database.one(
            "SELECT agent_checkpoint(%s::jsonb, %s)", embed(plain, ended=ended), segment.body
        )
        self._told(key.run_id)
        return held

    async def session(self, key: AttemptKey, lease: Lease) -> AgentSession | None:
        found = await self._database.one("SELECT agent_session_of(%s::jsonb)::text", _leased(key, lease))
        return AgentSession.model_validate_json(found) if found is not None else None

    async def keep_session(self, key: AttemptKey, lease: Lease, session: AgentSession) -> bool:
        asked = _leased(key, lease, executor=session.executor, session_id=session.session_id, data=session.data)
        held: bool = await self._database.one("SELECT agent_session_keep(%s::jsonb)", asked)
        return held


def _leased(key: AttemptKey, lease: Lease, /, **more: object) -> str:
    return arguments(
        org_id=key.org_id,
        run_id=key.run_id,
        attempt_id=lease.attempt_id,
        execution_id=lease.execution_id,
        token=lease.token,
        **more,
    )
