"""A new run: what its start names is looked up and all of it recorded in one statement, or nothing is."""

import hashlib
import re
from pathlib import PurePath
from typing import Literal
from uuid import UUID

from uuid6 import uuid7

from adapters.store.catalogue import HASH_LETTERS, PostgresCatalogue, version_named
from adapters.store.database import Database
from adapters.store.documents import arguments, document, embed
from domain.base import Frozen
from domain.errors import Conflict, InvalidInput
from domain.runs.ids import run_workflow_id
from domain.runs.messages import RunStart, TaskSpec
from domain.runs.run_ledger import RepositoryBase
from domain.runs.state import RunState
from domain.runs.words import RunStatus

SLUG_LETTERS = 40
ENDED_PROBLEM = "The run had already ended."


class HandStart(Frozen):
    """A workflow that was started before anything was recorded."""

    workflow_id: str
    workflow_run_id: str
    started_at_seconds: float


class NewRun(Frozen):
    """What was recorded. One that was started by hand is opened at once: its state comes along."""

    run_id: UUID
    request_id: UUID | None = None
    repeated: bool = False
    state: RunState | None = None
    closed: RunStatus | None = None


class NewRuns:
    def __init__(self, database: Database, catalogue: PostgresCatalogue) -> None:
        self._database = database
        self._catalogue = catalogue

    async def repository_path(self, start: RunStart) -> str | None:
        """Where the repository of a new run lies; None when it needs none or was recorded before. Raises NotFound
        or InvalidInput."""
        if start.task is None:
            return None
        _check_absolute(start.repo)
        if start.workspace is None:
            return start.repo
        known = await self._catalogue.workspace(await self._catalogue.organization(start.org), start)
        return known.repo_path if known else start.repo

    async def record(
        self,
        start: RunStart,
        base: RepositoryBase | None,
        *,
        actor: str,
        by_hand: HandStart | None = None,
        idempotency_key: str | None = None,
    ) -> NewRun:
        """The same idempotency key, or the same workflow, gives the same run again. Raises InvalidInput, NotFound
        (nothing was written), Conflict, Unavailable."""
        if start.task is None:
            raise InvalidInput("A new run needs a task.", hint="Say in `task` what is to be changed.", field="task")
        _check_absolute(start.repo)
        org_id = await self._catalogue.organization(start.org)
        run_id = uuid7()
        name, version = version_named(start.pipeline) or (None, "")
        asked = arguments(
            org_id=org_id,
            run_id=run_id,
            request_id=uuid7(),
            title=start.task.subject,
            pipeline=name,
            hash=version,
            workspace=start.workspace,
            repo=start.repo,
            new_workspace_id=uuid7(),
            workspace_name=start.workspace or PurePath(start.repo or "").name or "repository",
            base_commit=base.commit if base else None,
            base_tree=base.tree if base else None,
            branch=branch_name(run_id, start.task),
            workflow_id=by_hand.workflow_id if by_hand else run_workflow_id(start.org, run_id),
            workflow_run_id=by_hand.workflow_run_id if by_hand else None,
            started_at_seconds=by_hand.started_at_seconds if by_hand else None,
            ended_problem=ENDED_PROBLEM,
            actor=actor,
            priority=start.settings.priority,
            warnings=base.warnings if base else (),
            idempotency_key=idempotency_key,
            body_sha256=hashlib.sha256(start.model_dump_json().encode()).hexdigest() if idempotency_key else None,
        )
        asked = embed(asked, task=document(start.task), settings=document(start.settings))
        answer = _Answer.model_validate_json(await self._database.one("SELECT run_create(%s::jsonb)::text", asked))
        if answer.conflict:
            raise Conflict(
                f"The idempotency key `{idempotency_key}` was used for another request.",
                hint="Use a new key for a new request.",
                field="Idempotency-Key",
            )
        if answer.refused is not None:
            raise await self._refusal(org_id, start, answer)
        assert answer.run_id is not None, "run_create records, refuses or finds a conflict"
        return NewRun(
            run_id=answer.run_id,
            request_id=answer.request_id,
            repeated=answer.repeated,
            state=answer.state,
            closed=answer.closed,
        )

    async def _refusal(self, org_id: UUID, start: RunStart, answer: "_Answer") -> InvalidInput:
        match answer.refused:
            case "pipeline":
                known = ", ".join(pipeline.name for pipeline in await self._catalogue.pipelines(org_id)) or "none"
                return InvalidInput(
                    f"There is no pipeline `{start.pipeline}`.",
                    hint=f"Known: {known}. A version is `name@hash`, the hash with {HASH_LETTERS} or more characters.",
                    field="pipeline",
                )
            case "workspace":
                names = ", ".join(facts.name for facts in await self._catalogue.workspaces(org_id)) or "none"
                return InvalidInput(
                    f"There is no workspace `{start.workspace}`.",
                    hint=f"Known: {names}. Or give `repo`, and the workspace is made.",
                    field="workspace",
                )
            case "repository":
                return InvalidInput(
                    f"Workspace `{answer.name}` is of another repository: {answer.repo_path}",
                    hint="Leave `repo` out, or name another workspace.",
                    field="repo",
                )
            case _:
                return InvalidInput(
                    f"Pipeline `{answer.name}` works on a repository, but the run names none.",
                    hint="Give `repo` (the path of a git repository) or `workspace` (a known one).",
                    field="repo",
                )


class _Answer(Frozen):
    run_id: UUID | None = None
    request_id: UUID | None = None
    repeated: bool = False
    state: RunState | None = None
    closed: RunStatus | None = None
    conflict: bool = False
    refused: Literal["pipeline", "workspace", "repository", "no_repository"] | None = None
    name: str = ""
    repo_path: str = ""


def _check_absolute(repo: str | None) -> None:
    if repo is not None and not PurePath(repo).is_absolute():
        raise InvalidInput(
            f"The path of the repository is not absolute: {repo}",
            hint="Give the whole path from the root.",
            field="repo",
        )


def branch_name(run_id: UUID, task: TaskSpec) -> str:
    """`millwright/<subject>-<tail of the run's id>`: ids that are near in time differ in their tail."""
    slug = re.sub(r"[^a-z0-9]+", "-", task.subject.lower()).strip("-")[:SLUG_LETTERS].strip("-") or "change"
    return f"millwright/{slug}-{run_id.hex[-8:]}"
