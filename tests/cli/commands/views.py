"""Views of a run as the API gives them, for tests of what commands make of them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.pipelines.spec import CommandPhase, Pipeline
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.messages import RunSettings, TaskSpec
from domain.runs.views import AttemptView, ExecutionView, PhaseView, RunView, UsageView
from domain.runs.words import AttemptCause, ExecutionStatus, PhaseStatus, RunStatus

RUN = UUID(int=7)
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FAILED = PhaseError(
    kind=ErrorKind.COMMAND_FAILED,
    message="`pytest` ended with exit code 1.",
    excerpt="\x1b[31mFAILED tests/test_dates.py::test_old\x1b[0m",
    hint="Its whole output is on the run's page.",
)


def attempt(
    phase: str, *, iteration: int = 0, number: int = 1, status: PhaseStatus = PhaseStatus.PASSED, **more: object
) -> AttemptView:
    fields: dict[str, object] = {
        "id": UUID(int=hash((phase, iteration, number)) % 2**64),
        "iteration": iteration,
        "phase": phase,
        "attempt": number,
        "kind": "review" if phase == "self-review" else "command",
        "cause": AttemptCause.FIRST,
        "status": status,
        "created_at": BEGAN,
        "started_at": BEGAN,
        "finished_at": None if status is PhaseStatus.RUNNING else BEGAN + timedelta(seconds=1.5),
    }
    return AttemptView.model_validate(fields | more)


def execution(number: int, status: ExecutionStatus) -> ExecutionView:
    return ExecutionView(
        id=UUID(int=900 + number), number=number, ordinal=number, status=status, worker="w", started_at=BEGAN
    )


def run(*attempts: AttemptView, status: RunStatus = RunStatus.RUNNING, **more: object) -> RunView:
    fields: dict[str, object] = {
        "id": RUN,
        "status": status,
        "title": "Mend dates",
        "pipeline_name": "code-change",
        "workspace_name": "sample",
        "actor": "admin",
        "created_at": BEGAN,
        "task": TaskSpec(change="Mend dates"),
        "settings": RunSettings(),
        "pipeline": Pipeline(name="p", phases=(CommandPhase(kind="command", name="verify", command="x"),)),
        "pipeline_hash": "f" * 64,
        "workflow_id": "run/default/x",
        "newest_event": 3,
        "usage": UsageView(),
        "phases": tuple(PhaseView(iteration=a.iteration, phase=a.phase, kind=a.kind, attempts=(a,)) for a in attempts),
    }
    return RunView.model_validate(fields | more)
