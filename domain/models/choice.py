"""Which model a phase asks: by role and stage, the most particular word first."""

from collections.abc import Iterator, Mapping

from domain.base import Frozen
from domain.models.policy import Policy
from domain.pipelines.spec import AgentPhase, ModelPhase, ReviewPhase
from domain.runs.messages import ModelName, RunSettings
from domain.runs.ports import WorkspaceFacts

AskingPhase = ModelPhase | ReviewPhase | AgentPhase
"""Phases that ask a model."""
ANY_ROLE = "default"
"""Key for every role and stage that has none of its own."""


class StageModels(Frozen):
    """Of the environment: CONTEXT_MODEL, RETRIEVAL_MODEL and EXECUTION_MODEL."""

    context: ModelName | None = None
    retrieval: ModelName | None = None
    execution: ModelName | None = None

    def of(self, stage: str) -> str | None:
        """None also for a stage that no variable is for."""
        return {"context": self.context, "retrieval": self.retrieval, "execution": self.execution}.get(stage)


class ModelDefaults(Frozen):
    """What stands behind a run and its pipeline."""

    policy: Policy
    environment: StageModels = StageModels()


class Chosen(Frozen):
    model: str
    """`provider:model`."""
    named_by: str
    """Who named it, for people."""
    field: str | None = None
    """Of the run's start, where that named it."""


def choose_model(
    phase: AskingPhase, settings: RunSettings, workspace: WorkspaceFacts | None, defaults: ModelDefaults
) -> Chosen | None:
    """The run's model for the role, for the stage, for all; the phase's; the workspace's for the role, the stage, all;
    the organization's for the role, the stage; the environment's for the stage; the organization's default. The first
    that is set wins; None: none is."""
    for model, named_by, field in _named(phase, settings, workspace, defaults):
        if model is not None:
            return Chosen(model=model, named_by=named_by, field=field)
    return None


def _named(
    phase: AskingPhase, settings: RunSettings, workspace: WorkspaceFacts | None, defaults: ModelDefaults
) -> Iterator[tuple[str | None, str, str | None]]:
    own = (phase.role, phase.stage)
    for key in own:
        yield settings.models.get(key), "the run's settings", f"settings.models.{key}"
    yield settings.model, "the run's settings", "settings.model"
    yield phase.model, f"phase `{phase.name}` of the pipeline", None
    if workspace is not None:
        yield _first(workspace.models, (*own, ANY_ROLE)), f"workspace `{workspace.name}`", None
    yield _first(defaults.policy.default_models, own), "the organization's policy", None
    yield defaults.environment.of(phase.stage), f"{phase.stage.upper()}_MODEL in the environment", None
    yield defaults.policy.default_models.get(ANY_ROLE), "the organization's default", None


def _first(models: Mapping[str, str], keys: tuple[str, ...]) -> str | None:
    return next((models[key] for key in keys if key in models), None)
