"""What an organization has set up: pipelines, workspaces, policy."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from psycopg import sql
from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb
from uuid6 import uuid7

from adapters.store.database import Connection, Database
from domain.agents.tools import McpServer
from domain.errors import Conflict, NotFound
from domain.models.policy import Policy
from domain.pipelines.spec import Pipeline
from domain.runs.messages import RunStart
from domain.runs.ports import WorkspaceFacts

_WORKSPACE = sql.SQL(
    "SELECT id, name, repo_path, test_command, setup_command, setup_inputs, env, allowed_remotes, "
    "mcp_servers, models FROM workspace "
)
HASH_LETTERS = 6
"""Fewest letters of a content hash that name a version."""


class PostgresCatalogue:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._organizations: dict[str, UUID] = {}
        """By name or id: an organization keeps both for good."""

    async def organization(self, name_or_id: str) -> UUID:
        """Raises NotFound."""
        found: UUID | None = self._organizations.get(name_or_id)
        if found is None:
            found = await self._database.one(
                "SELECT id FROM organization WHERE name = %s OR id::text = %s", name_or_id, name_or_id.lower()
            )
        if found is None:
            raise NotFound(
                f"There is no organization `{name_or_id}`.",
                hint="Name one that exists; the local stack has `default`.",
                field="org",
            )
        self._organizations[name_or_id] = found
        return found

    async def organizations(self) -> Sequence[UUID]:
        async with self._database.system() as connection:
            return [row[0] for row in await (await connection.execute("SELECT id FROM organization")).fetchall()]

    async def pipelines(self, org_id: UUID) -> Sequence[Pipeline]:
        """The newest version of each, by name."""
        async with self._database.organization(org_id) as connection:
            cursor = await connection.execute(
                "SELECT DISTINCT ON (name) document FROM pipeline_version ORDER BY name, published_at DESC"
            )
            return [Pipeline.model_validate(row[0]) for row in await cursor.fetchall()]

    async def pipeline(self, org_id: UUID, name: str) -> Pipeline | None:
        """By name (the newest version) or `name@hash`."""
        version = version_named(name)
        if version is None:
            return None
        async with self._database.organization(org_id) as connection:
            cursor = await connection.execute(
                "SELECT document FROM pipeline_version WHERE name = %s AND starts_with(content_hash, %s)"
                " ORDER BY published_at DESC LIMIT 1",
                version,
            )
            row = await cursor.fetchone()
        return Pipeline.model_validate(row[0]) if row else None

    async def publish(self, org_id: UUID, pipeline: Pipeline) -> None:
        """Makes this content the newest version of its name; the same content twice is one version."""
        kinds = {phase.name: str(phase.kind) for phase in pipeline.all_phases}
        async with self._database.organization(org_id) as connection:
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('pipeline/' || %s, 0))", (f"{org_id}/{pipeline.name}",)
            )
            cursor = await connection.execute(
                "SELECT content_hash FROM pipeline_version WHERE name = %s ORDER BY published_at DESC LIMIT 1",
                (pipeline.name,),
            )
            newest = await cursor.fetchone()
            if newest == (pipeline.content_hash,):
                return
            await connection.execute(
                "INSERT INTO pipeline_version (id, org_id, name, content_hash, document, phase_kinds, published_at)"
                " VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp())"
                " ON CONFLICT (org_id, name, content_hash) DO UPDATE SET published_at = excluded.published_at",
                (
                    uuid7(),
                    org_id,
                    pipeline.name,
                    pipeline.content_hash,
                    Jsonb(pipeline.model_dump(mode="json")),
                    Jsonb(kinds),
                ),
            )

    async def workspaces(self, org_id: UUID) -> Sequence[WorkspaceFacts]:
        async with self._database.organization(org_id) as connection:
            cursor = await connection.execute(_WORKSPACE + sql.SQL("ORDER BY name"))
            return [_facts(row) for row in await cursor.fetchall()]

    async def workspace(self, org_id: UUID, start: RunStart) -> WorkspaceFacts | None:
        """The one that a start names by name, id or repository; None when it is new or none is named."""
        async with self._database.organization(org_id) as connection:
            if start.workspace is not None:
                return await _by_name(connection, start.workspace)
            if start.repo is None:
                return None
            query = _WORKSPACE + sql.SQL("WHERE repo_path = %s ORDER BY created_at LIMIT 1")
            row = await (await connection.execute(query, (start.repo,))).fetchone()
            return _facts(row) if row else None

    async def workspace_named(self, org_id: UUID, name_or_id: str) -> WorkspaceFacts | None:
        async with self._database.organization(org_id) as connection:
            return await _by_name(connection, name_or_id)

    async def set_mcp_servers(
        self, org_id: UUID, name_or_id: str, servers: Sequence[McpServer]
    ) -> WorkspaceFacts | None:
        """These and no others; nothing else of the workspace is touched. None: there is no such workspace."""
        async with self._database.organization(org_id) as connection:
            found = await _by_name(connection, name_or_id)
            if found is None:
                return None
            await connection.execute(
                "UPDATE workspace SET mcp_servers = %s WHERE id = %s",
                (Jsonb([server.model_dump(mode="json") for server in servers]), found.workspace_id),
            )
        return found.model_copy(update={"mcp_servers": tuple(servers)})

    async def set_models(self, org_id: UUID, name_or_id: str, models: Mapping[str, str]) -> WorkspaceFacts | None:
        """These and no others; nothing else of the workspace is touched. None: there is no such workspace."""
        async with self._database.organization(org_id) as connection:
            found = await _by_name(connection, name_or_id)
            if found is None:
                return None
            await connection.execute(
                "UPDATE workspace SET models = %s WHERE id = %s", (Jsonb(dict(models)), found.workspace_id)
            )
        return found.model_copy(update={"models": dict(models)})

    async def save_workspace(self, org_id: UUID, facts: WorkspaceFacts) -> None:
        """Makes or changes the workspace of this id. Raises Conflict when another one has its name."""
        try:
            async with self._database.organization(org_id) as connection:
                await connection.execute(
                    "INSERT INTO workspace (id, org_id, name, repo_path, test_command, setup_command, setup_inputs,"
                    " env, allowed_remotes, mcp_servers, models, created_at)"
                    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp())"
                    " ON CONFLICT (id) DO UPDATE SET name = excluded.name, repo_path = excluded.repo_path,"
                    " test_command = excluded.test_command, setup_command = excluded.setup_command,"
                    " setup_inputs = excluded.setup_inputs, env = excluded.env,"
                    " allowed_remotes = excluded.allowed_remotes, mcp_servers = excluded.mcp_servers,"
                    " models = excluded.models",
                    (
                        facts.workspace_id,
                        org_id,
                        facts.name,
                        facts.repo_path,
                        facts.test_command,
                        facts.setup_command,
                        Jsonb(facts.setup_inputs),
                        Jsonb(facts.env),
                        Jsonb(facts.allowed_remotes),
                        Jsonb([server.model_dump(mode="json") for server in facts.mcp_servers]),
                        Jsonb(facts.models),
                    ),
                )
        except UniqueViolation:
            raise Conflict(
                f"There is a workspace `{facts.name}` already.", hint="Choose another name.", field="name"
            ) from None

    async def policy(self, org_id: UUID) -> Policy:
        """The newest; version 0, which allows nothing, where the organization has none yet."""
        async with self._database.organization(org_id) as connection:
            return await _policy(connection)

    async def save_policy(self, org_id: UUID, policy: Policy, *, actor: str) -> Policy:
        """The next version after `policy.version`. Raises Conflict when somebody else wrote one meanwhile."""
        following = policy.model_copy(update={"version": policy.version + 1})
        try:
            async with self._database.organization(org_id) as connection:
                if (await _policy(connection)).version != policy.version:
                    raise Conflict("The policy was changed meanwhile.", hint="Load it again and repeat the change.")
                await connection.execute(
                    "INSERT INTO provider_policy (org_id, version, document, actor, created_at)"
                    " VALUES (%s, %s, %s, %s, clock_timestamp())",
                    (org_id, following.version, Jsonb(following.model_dump(mode="json")), actor),
                )
        except UniqueViolation:
            raise Conflict(
                "The policy was changed at the same time.", hint="Load it again and repeat the change."
            ) from None
        return following


def version_named(name: str) -> tuple[str, str] | None:
    """Name and beginning of the content hash (empty: the newest) of `name` or `name@hash`; None when the hash is too
    short to name a version."""
    bare, at, version = name.partition("@")
    return None if at and len(version) < HASH_LETTERS else (bare, version.lower())


async def _policy(connection: Connection) -> Policy:
    cursor = await connection.execute("SELECT version, document FROM provider_policy ORDER BY version DESC LIMIT 1")
    row = await cursor.fetchone()
    return Policy.model_validate({**row[1], "version": row[0]}) if row else Policy(version=0)


async def _by_name(connection: Connection, name_or_id: str) -> WorkspaceFacts | None:
    query = _WORKSPACE + sql.SQL("WHERE name = %s OR id::text = %s ORDER BY (name = %s) DESC LIMIT 1")
    row = await (await connection.execute(query, (name_or_id, name_or_id.lower(), name_or_id))).fetchone()
    return _facts(row) if row else None


def _facts(row: Sequence[object]) -> WorkspaceFacts:
    names = ("workspace_id", "name", "repo_path", "test_command", "setup_command", "setup_inputs", "env")
    return WorkspaceFacts.model_validate(
        dict(zip((*names, "allowed_remotes", "mcp_servers", "models"), row, strict=True))
    )
