"""The PackRecord port: where the trees of a run are stored."""

from uuid import UUID

from adapters.store.database import Database
from domain.workspaces.packs import BRANCH_BUNDLE, PACK_MEDIA_TYPE, BranchTip, StoredRun, pack_edge


class PostgresPackRecord:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def stored(self, org_id: UUID, run_id: UUID) -> StoredRun:
        async with self._database.organization(org_id) as connection:
            packs = await connection.execute(
                "SELECT name, sha256 FROM artifact WHERE run_id = %s AND media_type = %s ORDER BY id",
                (run_id, PACK_MEDIA_TYPE),
            )
            edges = [pack_edge(name, sha256) for name, sha256 in await packs.fetchall()]
            base = await connection.execute(
                "SELECT b.sha256 FROM run r JOIN base_pack b USING (workspace_id, base_commit) WHERE r.id = %s",
                (run_id,),
            )
            base_row = await base.fetchone()
            tips = await connection.execute(
                "SELECT t.commit_facts->>'sha', a.sha256 FROM artifact a JOIN attempt t ON t.id = a.attempt_id"
                " WHERE a.run_id = %s AND a.name = %s ORDER BY a.id DESC LIMIT 1",
                (run_id, BRANCH_BUNDLE),
            )
            tip = await tips.fetchone()
        return StoredRun(
            packs=tuple(edge for edge in edges if edge is not None),
            base_sha256=base_row[0] if base_row else None,
            tip=BranchTip(commit=tip[0], sha256=tip[1]) if tip else None,
        )

    async def has_base(self, org_id: UUID, workspace_id: UUID, base_commit: str) -> bool:
        async with self._database.organization(org_id) as connection:
            found = await connection.execute(
                "SELECT 1 FROM base_pack WHERE workspace_id = %s AND base_commit = %s", (workspace_id, base_commit)
            )
            return await found.fetchone() is not None

    async def keep_base(self, org_id: UUID, workspace_id: UUID, base_commit: str, sha256: str, size_bytes: int) -> None:
        async with self._database.organization(org_id) as connection:
            await connection.execute(
                "INSERT INTO base_pack (org_id, workspace_id, base_commit, sha256, size_bytes, created_at)"
                " VALUES (%s, %s, %s, %s, %s, now()) ON CONFLICT DO NOTHING",
                (org_id, workspace_id, base_commit, sha256, size_bytes),
            )
