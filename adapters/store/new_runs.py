"""A new run: everything that its start names is looked up, then it is recorded in one statement or not at all."""

import hashlib
import json
import re
from pathlib import PurePath
from uuid import UUID

from uuid6 import uuid7

from adapters.store.catalogue import HASH_LETTERS, PostgresCatalogue, version_named
from adapters.store.database import Database
from adapters.store.documents import arguments, document, embed
from domain.base import Frozen
from domain.errors import Conflict, InvalidInput
from domain.runs.ids import run_workflow_id
from domain.runs.messages import RunStart, TaskSpec
from domain.runs.recorded import RecordedRun
from domain.runs.run_ledger import RepositoryBase

SLUG_LETTERS = 40


class HandStart(Frozen):
    """A workflow that was started before anything was recorded."""

    workflow_id: str
    workflow_run_id: str


class _Pipeline(Frozen):
    id: UUID
    name: str
    needs_workspace: bool


class _Workspace(Frozen):
    id: UUID
    name: str
    repo_path: str


class _Parts(Frozen):
    pipeline: _Pipeline | None = None
    workspace: _Workspace | None = None


class NewRuns:
    def __init__(self, database: Database, catalogue: PostgresCatalogue) -> None:
        self._database = database
        self._catalogue = catalogue

    async def repository_path(self, start: RunStart) -> str | None:
        """Where the repository of a new run lies; None when it needs none or was recorded before. Raises NotFound
        or InvalidInput."""
        if start.task is None:
            return None
        org_id = await self._catalogue.organization(start.org)
        parts = await self._parts(org_id, start)
        return parts.workspace.repo_path if parts.workspace else start.repo

    async def record(
        self,
        start: RunStart,
        base: RepositoryBase | None,
        *,
        actor: str,
        by_hand: HandStart | None = None,
        idempotency_key: str | None = None,
    ) -> tuple[UUID, RecordedRun]:
        """The organization's id and the run. The same idempotency key, or the same workflow, gives the same run
        again. Raises InvalidInput, NotFound (nothing was written), Conflict, Unavailable."""
        if start.task is None:
            raise InvalidInput("A new run needs a task.", hint="Say in `task` what is to be changed.", field="task")
        org_id = await self._catalogue.organization(start.org)
        parts = await self._parts(org_id, start)
        pipeline, workspace = await self._known_pipeline(org_id, start, parts), parts.workspace
        repo_path = workspace.repo_path if workspace else start.repo
        if pipeline.needs_workspace and (repo_path is None or base is None):
            raise InvalidInput(
                f"Pipeline `{pipeline.name}` works on a repository, but the run names none.",
                hint="Give `repo` (the path of a git repository) or `workspace` (a known one).",
                field="repo",
            )
        if repo_path is None:
            base = None
        run_id = uuid7()
        asked = arguments(
            org_id=org_id,
            run_id=run_id,
            request_id=uuid7(),
            title=start.task.subject,
            pipeline_version_id=pipeline.id,
            pipeline=pipeline.name,
            workspace_id=workspace.id if workspace else None,
            repo_path=repo_path if workspace is None else None,
            new_workspace_id=uuid7(),
            workspace_name=start.workspace or PurePath(repo_path or "").name or "repository",
            base_commit=base.commit if base else None,
            base_tree=base.tree if base else None,
            branch=branch_name(run_id, start.task) if repo_path else None,
            workflow_id=by_hand.workflow_id if by_hand else run_workflow_id(start.org, run_id),
            workflow_run_id=by_hand.workflow_run_id if by_hand else None,
            actor=actor,
            priority=start.settings.priority,
            warnings=base.warnings if base else (),
            idempotency_key=idempotency_key,
            body_sha256=hashlib.sha256(start.model_dump_json().encode()).hexdigest(),
        )
        asked = embed(asked, task=document(start.task), settings=document(start.settings))
        answer = json.loads(await self._database.one("SELECT run_create(%s::jsonb)::text", asked))
        if answer.get("conflict"):
            raise Conflict(
                f"The idempotency key `{idempotency_key}` was used for another request.",
                hint="Use a new key for a new request.",
                field="Idempotency-Key",
            )
        return org_id, RecordedRun.model_validate(answer)

    async def _parts(self, org_id: UUID, start: RunStart) -> _Parts:
        """Everything that the start names, in one round trip. Raises InvalidInput for a repository or workspace that
        cannot be."""
        if start.repo is not None and not PurePath(start.repo).is_absolute():
            raise InvalidInput(
                f"The path of the repository is not absolute: {start.repo}",
                hint="Give the whole path from the root.",
                field="repo",
            )
        name, version = version_named(start.pipeline) or (None, "")
        asked = arguments(org_id=org_id, pipeline=name, hash=version, workspace=start.workspace, repo=start.repo)
        parts = _Parts.model_validate_json(await self._database.one("SELECT run_parts(%s::jsonb)::text", asked))
        known = parts.workspace
        if start.workspace is not None and known is None and start.repo is None:
            names = ", ".join(facts.name for facts in await self._catalogue.workspaces(org_id)) or "none"
            raise InvalidInput(
                f"There is no workspace `{start.workspace}`.",
                hint=f"Known: {names}. Or give `repo`, and the workspace is made.",
                field="workspace",
            )
        if known is not None and start.repo is not None and known.repo_path != start.repo:
            raise InvalidInput(
                f"Workspace `{known.name}` is of another repository: {known.repo_path}",
                hint="Leave `repo` out, or name another workspace.",
                field="repo",
            )
        return parts

    async def _known_pipeline(self, org_id: UUID, start: RunStart, parts: _Parts) -> _Pipeline:
        if parts.pipeline is not None:
            return parts.pipeline
        known = ", ".join(pipeline.name for pipeline in await self._catalogue.pipelines(org_id)) or "none"
        raise InvalidInput(
            f"There is no pipeline `{start.pipeline}`.",
            hint=f"Known: {known}. A version is `name@hash` with at least {HASH_LETTERS} characters of the hash.",
            field="pipeline",
        )


def branch_name(run_id: UUID, task: TaskSpec) -> str:
    """`millwright/<subject>-<tail of the run's id>`: ids that are near in time differ in their tail."""
    slug = re.sub(r"[^a-z0-9]+", "-", task.subject.lower()).strip("-")[:SLUG_LETTERS].strip("-") or "change"
    return f"millwright/{slug}-{run_id.hex[-8:]}"
