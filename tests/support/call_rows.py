"""Rows that a model call stands under (organization, policy, run, attempt, execution), and a pool like production's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from adapters.store.database import Pool, open_database
from domain.models.messages import CallScope
from domain.models.policy import Policy
from tests.support.databases import Database


@asynccontextmanager
async def call_pool(database: Database, size: int = 8) -> AsyncIterator[Pool]:
    """The pool of production: autocommit connections of the role under row-level security."""
    async with open_database(database.app_url, max_connections=size) as opened:
        yield opened.pool


class Rows:
    """Made by the database's owner, who sees every organization."""

    def __init__(self, database: Database) -> None:
        self._url = database.admin_url

    def run(self, statement: str, *parameters: Any) -> list[Any]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            done = connection.execute(statement, parameters)
            return done.fetchall() if done.description else []

    def organization(self, policy: Policy | None = None) -> UUID:
        org = uuid4()
        self.run("INSERT INTO organization (id, name, created_at) VALUES (%s, %s, now())", org, str(org))
        if policy is not None:
            self.policy(org, policy)
        return org

    def policy(self, org: UUID, policy: Policy) -> None:
        self.run(
            "INSERT INTO provider_policy (org_id, version, document, actor, created_at)"
            " VALUES (%s, %s, %s, 't', now())",
            org,
            policy.version,
            Jsonb(policy.model_dump(mode="json", exclude={"version"})),
        )

    def execution(self, org: UUID) -> tuple[UUID, UUID, UUID]:
        """Ids of a new run, its attempt and its running execution."""
        run, attempt, execution, version = (uuid4() for _ in range(4))
        self.run(
            "INSERT INTO pipeline_version (id, org_id, name, content_hash, document, phase_kinds, published_at)"
            " VALUES (%s, %s, 'p', %s, '{}', '{}', now())",
            version,
            org,
            str(version),
        )
        self.run(
            "INSERT INTO run (id, org_id, status, title, task, settings, pipeline_version_id, pipeline_name,"
            " workflow_id, actor, created_at, changed_at)"
            " VALUES (%s, %s, 'RUNNING', 't', '{}', '{}', %s, 'p', %s, 't', now(), now())",
            run,
            org,
            version,
            f"run/{run}",
        )
        self.run(
            "INSERT INTO attempt (id, org_id, run_id, iteration, phase, attempt, kind, cause, status, created_at)"
            " VALUES (%s, %s, %s, 1, 'implement', 1, 'model', 'first', 'running', now())",
            attempt,
            org,
            run,
        )
        self.next_execution(org, run, attempt, execution, 1)
        return run, attempt, execution

    def next_execution(self, org: UUID, run: UUID, attempt: UUID, execution: UUID, number: int) -> None:
        """A newer execution takes the attempt over, as the phase protocol does."""
        self.run("UPDATE execution SET status = 'lost', ended_at = now() WHERE attempt_id = %s", attempt)
        self.run(
            "INSERT INTO execution (id, org_id, run_id, attempt_id, number, ordinal, token, status, worker, started_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, gen_random_uuid(), 'running', 'w', now())",
            execution,
            org,
            run,
            attempt,
            number,
            number,
        )

    def scope(self, org: UUID, key: str = "turn-1/call-1", **more: Any) -> CallScope:
        run, attempt, execution = self.execution(org)
        return CallScope(org_id=org, run_id=run, attempt_id=attempt, execution_id=execution, step_key=key, **more)
