"""What is asked through the API: recorded first, in one transaction with its event and its delivery."""

import json
from collections.abc import Callable
from uuid import UUID

from uuid6 import uuid7

from adapters.store.catalogue import PostgresCatalogue
from adapters.store.database import Database
from adapters.store.documents import arguments
from adapters.store.new_runs import NewRuns
from domain.errors import Conflict, NotFound
from domain.runs.messages import RunStart
from domain.runs.recorded import RecordedCancel, RecordedRun
from domain.runs.run_ledger import RepositoryBase


class PostgresRequests:
    """`told` is called with the run's id after each write that viewers want to see."""

    def __init__(self, database: Database, told: Callable[[UUID], None]) -> None:
        self._database = database
        self._told = told
        self._new_runs = NewRuns(database, PostgresCatalogue(database))

    async def repository_path(self, start: RunStart) -> str | None:
        """Where the repository of a new run lies, to be inspected before `create_run`. Raises NotFound,
        InvalidInput."""
        return await self._new_runs.repository_path(start)

    async def create_run(
        self, start: RunStart, base: RepositoryBase | None, *, actor: str, idempotency_key: str | None = None
    ) -> RecordedRun:
        """`start.org` is the organization's name or id. The same key with the same start gives the same answer
        again. Raises InvalidInput, NotFound (nothing was written), Conflict (the key with another start)."""
        new = await self._new_runs.record(start, base, actor=actor, idempotency_key=idempotency_key)
        self._told(new.run_id)
        assert new.request_id is not None, "a run that was not started by hand has its request"
        return RecordedRun(run_id=new.run_id, request_id=new.request_id, repeated=new.repeated)

    async def cancel_run(
        self, org_id: UUID, run_id: UUID, *, actor: str, reason: str = "", idempotency_key: str | None = None
    ) -> RecordedCancel:
        """Sets the flag that phases watch. Raises NotFound, Conflict (the run has ended, or the key was used for
        something else)."""
        asked = arguments(
            org_id=org_id,
            run_id=run_id,
            request_id=uuid7(),
            actor=actor,
            reason=reason,
            idempotency_key=idempotency_key,
        )
        answer = json.loads(await self._database.one("SELECT run_cancel(%s::jsonb)::text", asked))
        if answer.get("missing"):
            raise NotFound(f"There is no run {run_id}.", hint="Look at the list of runs.", field="run_id")
        if answer.get("closed"):
            raise Conflict(f"The run has already ended ({answer['closed']}).", hint="There is nothing to cancel.")
        if answer.get("conflict"):
            raise Conflict(
                f"The idempotency key `{idempotency_key}` was used for another request.",
                hint="Use a new key for a new request.",
                field="Idempotency-Key",
            )
        self._told(run_id)
        return RecordedCancel(run_id=run_id, request_id=answer["request_id"], repeated=answer["repeated"])
