"""What a model sees: the phase's prompt with task, earlier results, feedback, files and diff; and which model."""

from activities.runs.context import PhaseContext
from domain.errors import PhaseFailure
from domain.models.choice import AskingPhase, ModelDefaults, choose_model
from domain.models.messages import Message, Speaker
from domain.pipelines.ports import PromptRenderer, PromptVariables
from domain.pipelines.spec import ReviewPhase
from domain.runs.failure import ErrorKind, PhaseError
from domain.workspaces.ports import Workspaces

FILES_LIMIT_BYTES = 200_000
"""Of repository files in one prompt, in all."""
DIFF_LIMIT_BYTES = 200_000
"""Of the diff in a review's prompt; a longer one is cut and says so."""

Prompted = AskingPhase


class Prompting:
    def __init__(self, *, workspaces: Workspaces, prompts: PromptRenderer) -> None:
        self._workspaces = workspaces
        self._prompts = prompts

    async def messages(self, context: PhaseContext, spec: Prompted) -> tuple[Message, ...]:
        variables = PromptVariables(
            task=context.run.task,
            iteration=context.key.iteration,
            earlier=context.began.earlier,
            feedback=context.began.feedback,
            files=await self._files(context, spec),
            diff=await self._diff(context, spec),
        )
        return (Message(speaker=Speaker.USER, text=self._prompts.render(spec.prompt, variables)),)

    async def _files(self, context: PhaseContext, spec: Prompted) -> dict[str, str]:
        if not spec.context_files:
            return {}
        where = (context.tree.facts.workspace_id, context.run.run_id)
        return await self._workspaces.read_files(*where, spec.context_files, limit_bytes=FILES_LIMIT_BYTES)

    async def _diff(self, context: PhaseContext, spec: Prompted) -> str:
        if not isinstance(spec, ReviewPhase):
            return ""
        tree = context.tree
        return await self._workspaces.diff(
            tree.facts.workspace_id, context.run.run_id, tree.base_tree, tree.tree, limit_bytes=DIFF_LIMIT_BYTES
        )


def model_for(context: PhaseContext, spec: Prompted, defaults: ModelDefaults) -> str:
    """`provider:model` as domain.models.choice says. Raises PhaseFailure when none is set."""
    chosen = choose_model(spec, context.run.settings, context.run.workspace, defaults)
    if chosen is None:
        raise PhaseFailure(
            PhaseError(
                kind=ErrorKind.INVALID_REQUEST,
                message=f"No model is set for phase `{spec.name}` (role {spec.role}, stage {spec.stage}).",
                hint="Start the run with --model provider:model, or let an admin set a default for the role.",
            )
        )
    return chosen.model


def turn_of(context: PhaseContext) -> int:
    """For which time the role speaks in this run: once an iteration, and once more for each retry."""
    return max(1, context.key.iteration) + context.key.attempt - 1
