"""`review` phases: self-review (automated). A model reads the diff and approves it, or says what must change."""

from activities.runs.asking import Asking
from activities.runs.context import PhaseContext, Work
from activities.runs.model_phase import failed
from domain.errors import PhaseFailure
from domain.pipelines.spec import ReviewPhase
from domain.runs.fingerprint import of_comments
from domain.runs.model_output import verdict_of
from domain.runs.words import PhaseStatus


class ReviewExecutor:
    def __init__(self, *, asking: Asking) -> None:
        self._asking = asking

    async def execute(self, context: PhaseContext) -> Work:
        spec = context.spec
        assert isinstance(spec, ReviewPhase)
        asked = await self._asking.ask(context, spec, json_schema=None)
        try:
            verdict = verdict_of(asked.text)
        except PhaseFailure as failure:
            return failed(asked.work, failure)
        if verdict.approved:
            return asked.work
        return asked.work.model_copy(
            update={
                "status": PhaseStatus.CHANGES_REQUESTED,
                "fingerprint": of_comments(verdict.comments),
                "summary": verdict.comments,
            }
        )
