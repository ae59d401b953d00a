"""When the result cannot be written, the permit goes back at once (B1), and Temporal hears of the failure."""

from typing import Any
from uuid import uuid4

import pytest
from temporalio.testing import ActivityEnvironment

from activities.runs.context import PhaseContext, Work
from activities.runs.protocol import Phases
from activities.runs.telemetry import PhaseTelemetry
from activities.runs.ticker import LeaseTicker
from adapters.secrets.redactor import SecretRedactor
from adapters.telemetry.metrics import WorkerMetrics
from domain.errors import Unavailable
from domain.failpoints import NoFailpoints
from domain.pipelines.spec import PhaseKind, Pipeline
from domain.runs.messages import AttemptKey, PhaseInput, RunSettings, TaskSpec
from domain.runs.ports import Began, Lease, RunFacts

PIPELINE = Pipeline.model_validate(
    {"name": "one", "needs_workspace": False, "phases": [{"name": "ask", "kind": "model", "prompt": "Say it."}]}
)
KEY = AttemptKey(org_id=uuid4(), run_id=uuid4(), iteration=0, phase="ask", attempt=1)


class FullLedger:
    """A record that can begin a phase, but not write its result."""

    def __init__(self, *, away: bool) -> None:
        self.away = away
        self.lease = Lease(execution_id=uuid4(), attempt_id=uuid4(), number=1, token=uuid4())
        self.released: list[Lease] = []

    async def begin(self, phase: PhaseInput, **_: Any) -> Began:
        facts = RunFacts(
            org_id=KEY.org_id,
            run_id=KEY.run_id,
            task=TaskSpec(change="it"),
            pipeline=PIPELINE,
            settings=RunSettings(),
        )
        return Began(lease=self.lease, run=facts)

    async def finish(self, *_: Any) -> bool:
        raise ValueError("no room for the result")

    async def release(self, key: AttemptKey, lease: Lease) -> None:
        self.released.append(lease)
        if self.away:
            raise Unavailable("PostgreSQL did not answer")


class Says:
    async def execute(self, context: PhaseContext) -> Work:
        return Work(summary="said")


@pytest.mark.parametrize("away", [False, True])
async def test_a_result_that_cannot_be_written_gives_the_permit_back(away: bool) -> None:
    ledger: Any = FullLedger(away=away)
    nothing: Any = None
    phases = Phases(
        ledger=ledger,
        sink=nothing,
        worktrees=nothing,
        executors={PhaseKind.MODEL: Says()},
        ticker=LeaseTicker(ledger),
        redactor=SecretRedactor(),
        failpoints=NoFailpoints(),
        telemetry=PhaseTelemetry(WorkerMetrics()),
        worker="here",
    )
    with pytest.raises(ValueError, match="no room"):
        await ActivityEnvironment().run(phases.run_phase, PhaseInput(key=KEY, time_limit_seconds=10))
    assert ledger.released == [ledger.lease]
