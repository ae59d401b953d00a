"""Starting a run: everything that can be refused is refused now, naming the field, before anything is recorded."""

from uuid import UUID

from api.deps import Deps
from api.publishing import read_pipeline
from api.schemas import Accepted, StartBody
from domain.errors import Forbidden, InvalidInput
from domain.identity.principal import Principal
from domain.models.choice import AskingPhase, ModelDefaults, choose_model
from domain.models.policy import check
from domain.pipelines.spec import Pipeline
from domain.runs.failure import PhaseError
from domain.runs.messages import RunSettings, RunStart
from domain.runs.ports import WorkspaceFacts
from domain.runs.starting import check_models, check_test_command
from domain.workspaces.ports import Base


async def start_run(deps: Deps, who: Principal, body: StartBody, idempotency_key: str | None) -> Accepted:
    """Raises InvalidInput, Forbidden, Conflict (the key came with another body) or Unavailable."""
    start = body.start
    _check_way_in(start, who)
    pipeline = await _pipeline(deps, who.org_id, body)
    workspace, base = None, None
    if pipeline.needs_workspace:
        workspace, base = await _workspace(deps, who.org_id, start)
        check_test_command(pipeline, start.settings, workspace)
    policy = await deps.catalogue.policy(who.org_id)
    defaults = ModelDefaults(policy=policy, environment=deps.settings.stage_models)
    check_models(pipeline, start.settings, workspace, defaults)
    _check_policy(pipeline, start.settings, workspace, defaults)
    pinned = start.model_copy(update={"org": who.organization, "pipeline": f"{pipeline.name}@{pipeline.content_hash}"})
    recorded = await deps.requests.create_run(pinned, base, actor=who.actor, idempotency_key=idempotency_key)
    deps.wake_relay()
    return Accepted(
        run_id=recorded.run_id,
        request_id=recorded.request_id,
        page=f"/ui/runs/{recorded.run_id}",
        repeated=recorded.repeated,
        warnings=base.warnings if base else (),
    )


def _check_way_in(start: RunStart, who: Principal) -> None:
    if start.org not in ("default", who.organization, str(who.org_id)):
        raise Forbidden(
            f"You are signed in to the organization {who.organization}, not {start.org[:100]}.",
            hint="Leave `org` out, or use a key of that organization.",
            field="org",
        )
    for name in ("run_id", "resume"):
        if getattr(start, name) is not None:
            raise InvalidInput(
                f"`{name}` is for starts through Temporal itself.", hint="Give `task` to start a new run.", field=name
            )
    if start.task is None:
        raise InvalidInput("A run needs a task.", hint="Say in `task` what is to be changed.", field="task")


async def _pipeline(deps: Deps, org_id: UUID, body: StartBody) -> Pipeline:
    if body.pipeline_yaml is not None:
        pipeline = read_pipeline(body.pipeline_yaml, body.prompts, field="pipeline_yaml")
        await deps.catalogue.publish(org_id, pipeline)
        return pipeline
    pipeline_or_none = await deps.catalogue.pipeline(org_id, body.pipeline)
    if pipeline_or_none is not None:
        return pipeline_or_none
    known = ", ".join(sorted(each.name for each in await deps.catalogue.pipelines(org_id))) or "none"
    raise InvalidInput(
        f"There is no pipeline `{body.pipeline}`.",
        hint=f"Known: {known}. Or give a document: `pipeline_yaml` of the API, `--pipeline FILE.yaml` of the CLI.",
        field="pipeline",
    )


async def _workspace(deps: Deps, org_id: UUID, start: RunStart) -> tuple[WorkspaceFacts | None, Base]:
    """The known workspace, if it is one, and what its repository stands at now."""
    if start.workspace is None and start.repo is None:
        raise InvalidInput(
            f"Pipeline `{start.pipeline}` works on a git repository, and none is named.",
            hint="Give `repo` (an absolute path on the worker's machine) or `workspace` (a known one's name).",
            field="repo",
        )
    found = await deps.catalogue.workspace(org_id, start)
    if found is None and start.workspace is not None:
        known = ", ".join(sorted(each.name for each in await deps.catalogue.workspaces(org_id))) or "none"
        raise InvalidInput(f"There is no workspace `{start.workspace}`.", hint=f"Known: {known}.", field="workspace")
    path = found.repo_path if found else start.repo
    assert path is not None
    return found, await deps.workspaces.inspect(path)


def _check_policy(
    pipeline: Pipeline, settings: RunSettings, workspace: WorkspaceFacts | None, defaults: ModelDefaults
) -> None:
    """The model of each phase as the phase itself will choose it, against the organization's policy."""
    for phase in pipeline.all_phases:
        chosen = choose_model(phase, settings, workspace, defaults) if isinstance(phase, AskingPhase) else None
        verdict = check(defaults.policy, chosen.model) if chosen else None
        if chosen and isinstance(verdict, PhaseError):
            message = f"{verdict.message} `{chosen.model}` is named by {chosen.named_by}."
            raise Forbidden(message, hint=verdict.hint, field=chosen.field or "settings.model")
