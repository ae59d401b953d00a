"""What a start must bring so that every phase can begin: said before anything is recorded."""

from domain.base import Frozen
from domain.errors import InvalidInput
from domain.models.choice import AskingPhase, ModelDefaults, choose_model
from domain.models.policy import Policy
from domain.pipelines.spec import CommandPhase, Pipeline
from domain.runs.messages import RunSettings
from domain.runs.ports import WorkspaceFacts


class StartFacts(Frozen):
    """What the record knows of what a start names."""

    pipeline: Pipeline
    workspace: WorkspaceFacts | None
    policy: Policy


def check_test_command(pipeline: Pipeline, settings: RunSettings, workspace: WorkspaceFacts | None) -> None:
    """Raises InvalidInput."""
    needing = [p.name for p in pipeline.all_phases if isinstance(p, CommandPhase) and p.workspace_command == "test"]
    if needing and settings.test_command is None and (workspace is None or workspace.test_command is None):
        raise InvalidInput(
            f"Phase `{needing[0]}` runs the workspace's test command, and none is known.",
            hint="Give `settings.test_command` (CLI: --test-command), for example `python -m pytest -q`.",
            field="settings.test_command",
        )


def check_models(
    pipeline: Pipeline, settings: RunSettings, workspace: WorkspaceFacts | None, defaults: ModelDefaults
) -> None:
    """Each phase that asks a model has one, chosen as the phase itself will choose it. Raises InvalidInput."""
    for phase in pipeline.all_phases:
        if isinstance(phase, AskingPhase) and choose_model(phase, settings, workspace, defaults) is None:
            raise InvalidInput(
                f"Phase `{phase.name}` needs a model for the role {phase.role}, and none is set.",
                hint="Give `settings.model` (CLI: --model provider:model), or let an admin set a default for the role.",
                field="settings.model",
            )
