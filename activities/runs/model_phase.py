"""`model` phases: one call; its text is the phase's result, or names files or a patch that are put into the tree."""

from activities.runs.asking import Asking
from activities.runs.context import PhaseContext, Work
from domain.errors import PhaseFailure
from domain.pipelines.spec import ModelOutput, ModelPhase
from domain.runs.fingerprint import of_error
from domain.runs.model_output import files_of, patch_of
from domain.runs.words import PhaseStatus
from domain.workspaces.ports import Workspaces


class ModelExecutor:
    def __init__(self, *, asking: Asking, workspaces: Workspaces) -> None:
        self._asking = asking
        self._workspaces = workspaces

    async def execute(self, context: PhaseContext) -> Work:
        spec = context.spec
        assert isinstance(spec, ModelPhase)
        asked = await self._asking.ask(context, spec, json_schema=None)
        try:
            await self._apply(context, spec.output, asked.text)
        except PhaseFailure as failure:
            return failed(asked.work, failure)
        return asked.work

    async def _apply(self, context: PhaseContext, output: ModelOutput, text: str) -> None:
        if output is ModelOutput.TEXT:
            return
        where = (context.tree.facts.workspace_id, context.run.run_id)
        if output is ModelOutput.FILES:
            await self._workspaces.write_files(*where, files_of(text))
        else:
            await self._workspaces.apply_patch(*where, patch_of(text))


def failed(work: Work, failure: PhaseFailure) -> Work:
    """A reply that could not be used was paid all the same: its usage counts."""
    return work.model_copy(
        update={
            "status": PhaseStatus.FAILED,
            "error": failure.error,
            "fingerprint": of_error(failure.error),
        }
    )
