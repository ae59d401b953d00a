"""Runs at work in the record, written through the same ledgers that a worker uses."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from adapters.store.catalogue import PostgresCatalogue
from adapters.store.database import Database
from adapters.store.phases import PostgresOutputSink, PostgresPhaseLedger
from adapters.store.requests import PostgresRequests
from adapters.store.runs import PostgresRunLedger
from adapters.store.wakeups import Notifier
from domain.pipelines.spec import CommandPhase, GitPhase, Loop, LoopItem, ModelPhase, PhaseKind, Pipeline, ReviewPhase
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.messages import AttemptKey, PhaseInput, PhaseResult, RunSettings, RunStart, TaskSpec
from domain.runs.outcome import Outcome
from domain.runs.ports import Began, CommitFacts, Finished, StepEnd, StepStart
from domain.runs.run_ledger import FinaliseRun, OpenRun
from domain.runs.words import OutcomeKind, PhaseStatus, StepKind, StepStatus
from domain.workspaces.ports import Base
from tests.api.people import Organization

PIPELINE = Pipeline(
    name="sample-change",
    description="Change, look, test",
    phases=(
        LoopItem(
            loop=Loop(
                phases=(
                    ModelPhase(name="implement", kind=PhaseKind.MODEL, prompt="do it"),
                    ReviewPhase(name="self-review", kind=PhaseKind.REVIEW, prompt="look"),
                    CommandPhase(name="verify", kind=PhaseKind.COMMAND, command="true", verifies=True),
                )
            )
        ),
        GitPhase(name="deliver", kind=PhaseKind.GIT, action="deliver"),
    ),
)
BASE = Base(commit="c" * 40, tree="t" * 40, branch="main")


@dataclass
class Recorder:
    """One organization's runs. What is written is told to viewers by `notifier`, which must be flushed or run."""

    database: Database
    organization: Organization
    notifier: Notifier

    async def new_run(self, change: str = "Mend the adder", **settings: Any) -> UUID:
        await PostgresCatalogue(self.database).publish(self.organization.id, PIPELINE)
        start = RunStart(
            org=self.organization.name,
            task=TaskSpec(change=change),
            pipeline=PIPELINE.name,
            repo="/somewhere/sample",
            settings=RunSettings(**settings),
        )
        requests = PostgresRequests(self.database, self.notifier.mark)
        return (await requests.create_run(start, BASE, actor="ada")).run_id

    async def open_run(self, change: str = "Mend the adder", **settings: Any) -> "OpenedRun":
        run_id = await self.new_run(change, **settings)
        ledger = PostgresRunLedger(self.database, self.notifier.mark)
        opening = OpenRun(
            start=RunStart(org=self.organization.name, run_id=run_id),
            workflow_id=f"run/{self.organization.name}/{run_id}",
            workflow_run_id="first",
            started_at_seconds=1_000.0,
        )
        assert (await ledger.open(opening, None)).state is not None
        return OpenedRun(self, run_id)


@dataclass
class OpenedRun:
    """A run that its workflow has opened."""

    recorder: Recorder
    id: UUID

    async def begin(self, phase: str = "verify", *, iteration: int = 1, attempt: int = 1) -> "BegunPhase":
        key = AttemptKey(
            org_id=self.recorder.organization.id, run_id=self.id, iteration=iteration, phase=phase, attempt=attempt
        )
        ledger = PostgresPhaseLedger(self.recorder.database, self.recorder.notifier.mark)
        asked = PhaseInput(key=key, time_limit_seconds=60, tree=BASE.tree)
        began = await ledger.begin(asked, worker="box:4711", max_executions=5)
        assert isinstance(began, Began)
        sink = PostgresOutputSink(self.recorder.database, self.recorder.notifier.mark)
        return BegunPhase(ledger, sink, key, began)

    async def end(self, kind: OutcomeKind, *, detail: str | None = None, error: PhaseError | None = None) -> None:
        ledger = PostgresRunLedger(self.recorder.database, self.recorder.notifier.mark)
        outcome = Outcome(kind=kind, detail=detail, error=error)
        await ledger.finalise(
            FinaliseRun(org_id=self.recorder.organization.id, run_id=self.id, outcome=outcome, iterations=1)
        )

    async def end_verified(self) -> None:
        await self.end(OutcomeKind.VERIFIED)


@dataclass
class BegunPhase:
    """A phase that runs now."""

    ledger: PostgresPhaseLedger
    sink: PostgresOutputSink
    key: AttemptKey
    began: Began
    _printed: int = 0

    async def step(self, title: str, kind: StepKind = StepKind.COMMAND) -> None:
        await self.ledger.start_step(self.key, self.began.lease, StepStart(key=title, kind=kind, title=title))

    async def end_step(self, title: str, *, exit_code: int = 0, tail: str = "") -> None:
        status = StepStatus.FAILED if exit_code else StepStatus.DONE
        end = StepEnd(status=status, run_seconds=1.5, queue_seconds=0.01, exit_code=exit_code, tail=tail)
        await self.ledger.end_step(self.key, self.began.lease, title, end)

    async def say(self, text: str) -> None:
        self._printed += 1
        await self.sink.append(self.key, self.began.lease, self._printed, text)

    async def passed(self, *, exit_code: int | None = None, commit: CommitFacts | None = None, **more: Any) -> None:
        result = PhaseResult(status=PhaseStatus.PASSED, tree=BASE.tree)
        await self._finish(Finished(result=result, exit_code=exit_code, commit=commit, **more))

    async def failed(self, excerpt: str = "FAILED test_add", *, exit_code: int = 1) -> None:
        error = PhaseError(
            kind=ErrorKind.COMMAND_FAILED, message="The tests failed.", excerpt=excerpt, hint="Read the first failure."
        )
        result = PhaseResult(status=PhaseStatus.FAILED, error=error, fingerprint="f", tree=BASE.tree)
        await self._finish(Finished(result=result, exit_code=exit_code, summary=excerpt))

    async def _finish(self, finished: Finished) -> None:
        assert await self.ledger.finish(self.key, self.began.lease, finished)
