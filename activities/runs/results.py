"""What an execution gives to the record: what its kind did, or why it did not, with nothing secret in it."""

from activities.runs.context import SUMMARY_LIMIT, Work, Worktree
from activities.runs.stop import Stopped, StopReason
from domain.pipelines.spec import ModelPhase, ReviewPhase, WorkPhase
from domain.redaction import Redactor
from domain.runs.failure import EXCERPT_LIMIT, ErrorKind, PhaseError
from domain.runs.fingerprint import of_error
from domain.runs.messages import PhaseInput, PhaseResult
from domain.runs.ports import Finished, Usage
from domain.runs.words import PhaseStatus


class Results:
    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def finished(self, phase: PhaseInput, work: Work, worktree: Worktree | None, tree_after: str | None) -> Finished:
        result = PhaseResult(
            status=work.status,
            error=self._clean(work.error),
            fingerprint=work.fingerprint or (of_error(work.error) if work.error else None),
            tree=tree_after or phase.tree,
            tokens=work.usage.tokens_in + work.usage.tokens_out,
            cost_usd=work.usage.cost_usd,
            protected_changed=worktree.protected_changed if worktree else (),
            commit=work.commit.sha if work.commit else None,
            model=work.model_answered or work.model_asked,
        )
        return Finished(
            result=result,
            usage=work.usage,
            tree_before=phase.tree,
            tree_after=result.tree,
            exit_code=work.exit_code,
            signal=work.signal,
            model_asked=work.model_asked,
            model_answered=work.model_answered,
            summary=self._redactor.redact(work.summary)[:SUMMARY_LIMIT],
            artifacts=work.artifacts,
            commit=work.commit,
            branch=work.branch,
        )

    def _clean(self, error: PhaseError | None) -> PhaseError | None:
        """The error boundary: nothing secret gets past it, and no error is empty."""
        if error is None:
            return None
        return error.model_copy(
            update={
                "message": self._redactor.redact(error.message) or f"The phase failed ({error.kind}).",
                "excerpt": self._redactor.redact(error.excerpt)[-EXCERPT_LIMIT:] or "(no output)",
                "hint": self._redactor.redact(error.hint),
            }
        )


def stopped(asked: Stopped, spec: WorkPhase) -> Work:
    unknown = Usage(cost_usd=None) if isinstance(spec, ModelPhase | ReviewPhase) else Usage()
    if asked.reason is StopReason.CANCELLED:
        error = PhaseError(
            kind=ErrorKind.CANCELLED,
            message=f"Phase {spec.name} was cancelled.",
            hint="Start the run again when it is wanted.",
        )
        return failed(error.model_copy(update={"excerpt": asked.output}), unknown)
    error = (
        shutting_down()
        if asked.reason is StopReason.SHUTDOWN
        else PhaseError(
            kind=ErrorKind.WORKER_LOST, message="The worker could not renew its lease and stopped its own work."
        )
    )
    return failed(error.model_copy(update={"excerpt": asked.output}), unknown)


def failed(error: PhaseError, usage: Usage | None = None) -> Work:
    cancelled = error.kind is ErrorKind.CANCELLED
    status = PhaseStatus.CANCELLED if cancelled else PhaseStatus.FAILED
    return Work(status=status, error=error, summary=error.excerpt, usage=usage or Usage())


def shutting_down() -> PhaseError:
    return PhaseError(
        kind=ErrorKind.WORKER_LOST,
        message="The worker was shut down while the phase ran.",
        hint="Nothing to do: another execution follows.",
    )


def internal(error: Exception) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.INTERNAL,
        message=f"{type(error).__name__}: {error}",
        hint="This is a defect of Millwright or of a plugin: see the worker's log at this time.",
    )
