"""What tests of the record share: an organization that can run phases, and a look at the rows as the owner."""

from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from adapters.store.catalogue import PostgresCatalogue
from adapters.store.database import Database
from adapters.store.phases import PostgresOutputSink, PostgresPhaseLedger
from adapters.store.requests import PostgresRequests
from adapters.store.runs import PostgresRunLedger
from domain.pipelines.spec import CommandPhase, GitPhase, Loop, LoopItem, ModelPhase, PhaseKind, Pipeline
from domain.runs.messages import AttemptKey, PhaseInput, PhaseResult, RunStart, TaskSpec
from domain.runs.ports import Began, Finished
from domain.runs.recorded import RecordedRun
from domain.runs.run_ledger import OpenRun
from domain.runs.state import RunState
from domain.runs.words import PhaseStatus
from domain.workspaces.ports import Base
from tests.support.databases import Database as Urls

PIPELINE = Pipeline(
    name="code-change",
    phases=(
        LoopItem(
            loop=Loop(
                phases=(
                    ModelPhase(name="implement", kind=PhaseKind.MODEL, prompt="do it"),
                    CommandPhase(name="verify", kind=PhaseKind.COMMAND, command="true", verifies=True),
                )
            )
        ),
        GitPhase(name="deliver", kind=PhaseKind.GIT, action="deliver"),
    ),
)
BASE = Base(commit="c" * 40, tree="t" * 40, branch="main")


@dataclass
class Record:
    database: Database
    urls: Urls
    org_id: UUID
    org: str
    told: list[UUID] = field(default_factory=list)

    @classmethod
    async def make(cls, database: Database, urls: Urls) -> "Record":
        made = cls(database, urls, uuid4(), f"org-{uuid4().hex[:8]}")
        await made.add_organization(made.org_id, made.org)
        return made

    async def add_organization(self, org_id: UUID, name: str) -> None:
        self.rows("INSERT INTO organization VALUES (%s, %s, now()) RETURNING id", org_id, name)
        await self.catalogue.publish(org_id, PIPELINE)

    @property
    def catalogue(self) -> PostgresCatalogue:
        return PostgresCatalogue(self.database)

    @property
    def phases(self) -> PostgresPhaseLedger:
        return PostgresPhaseLedger(self.database, self.told.append)

    @property
    def sink(self) -> PostgresOutputSink:
        return PostgresOutputSink(self.database, self.told.append)

    @property
    def runs(self) -> PostgresRunLedger:
        return PostgresRunLedger(self.database, self.told.append)

    @property
    def requests(self) -> PostgresRequests:
        return PostgresRequests(self.database, self.told.append)

    def start(self, change: str = "Mend the adder", **more: Any) -> RunStart:
        return RunStart(org=self.org, task=TaskSpec(change=change), repo="/somewhere/sample", **more)

    async def create(self, **more: Any) -> RecordedRun:
        return await self.requests.create_run(self.start(), BASE, actor="ada", **more)

    async def opened(self) -> RunState:
        """A run that its workflow has opened."""
        created = await self.create()
        opened = await self.runs.open(self.opening(created.run_id), None)
        assert opened.state is not None
        return opened.state

    def opening(self, run_id: UUID, workflow_run_id: str = "first") -> OpenRun:
        return OpenRun(
            start=RunStart(org=self.org, run_id=run_id),
            workflow_id=f"run/{self.org}/{run_id}",
            workflow_run_id=workflow_run_id,
            started_at_seconds=1_000.0,
        )

    def phase(self, run_id: UUID, phase: str = "verify", *, iteration: int = 1, attempt: int = 1) -> PhaseInput:
        key = AttemptKey(org_id=self.org_id, run_id=run_id, iteration=iteration, phase=phase, attempt=attempt)
        return PhaseInput(key=key, time_limit_seconds=60, tree=BASE.tree)

    async def begun(self, phase: PhaseInput, *, worker: str = "worker-1") -> Began:
        began = await self.phases.begin(phase, worker=worker, max_executions=5)
        assert isinstance(began, Began), began
        return began

    def rows(self, query: LiteralString, *arguments: object) -> list[dict[str, Any]]:
        """As the owner, past row-level security."""
        with psycopg.connect(self.urls.admin_url, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(query, arguments).fetchall()

    def events(self, run_id: UUID) -> list[str]:
        """Types in order; fails when the numbers have a hole."""
        rows = self.rows("SELECT seq, type FROM run_event WHERE run_id = %s ORDER BY seq", run_id)
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
        return [row["type"] for row in rows]

    def run_row(self, run_id: UUID) -> dict[str, Any]:
        return self.rows("SELECT * FROM run WHERE id = %s", run_id)[0]


def passed(**more: Any) -> Finished:
    return Finished(result=PhaseResult(status=PhaseStatus.PASSED, tree=BASE.tree), **more)
