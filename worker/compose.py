"""The composition root: every port gets its adapter here, for production and tests alike."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner

from activities.gateway.gateway import Gateway
from activities.models.calls import ModelCalls
from activities.runs.asking import Asking
from activities.runs.command_phase import CommandExecutor
from activities.runs.git_phase import GitExecutor
from activities.runs.model_phase import ModelExecutor
from activities.runs.packs import TreeKeeper
from activities.runs.prompting import Prompting
from activities.runs.protection import ProtectionNotice
from activities.runs.protocol import Phases
from activities.runs.records import RunRecords
from activities.runs.review_phase import ReviewExecutor
from activities.runs.setup import WorkspaceSetup
from activities.runs.telemetry import PhaseTelemetry
from activities.runs.ticker import LeaseTicker
from activities.runs.verification import VerifyingExecutor
from activities.runs.worktrees import Worktrees
from adapters.agent_tools.files import GitWorktreeFiles
from adapters.artifacts.store import ObjectArtifactStore
from adapters.failpoints import failpoints
from adapters.mcp.boxes import McpToolBoxes
from adapters.providers.forwarding import open_forwarding
from adapters.providers.prices import GenaiPrices
from adapters.providers.registry import open_providers
from adapters.sandbox.guarded import GuardedSandbox
from adapters.secrets.redactor import SecretRedactor
from adapters.secrets.references import SecretResolver
from adapters.store.agents import PostgresAgentRecord
from adapters.store.baselines import PostgresBaselines
from adapters.store.calls import PostgresCallLedger
from adapters.store.catalogue import PostgresCatalogue
from adapters.store.database import Database, open_database
from adapters.store.packs import PostgresPackRecord
from adapters.store.phases import PostgresOutputSink, PostgresPhaseLedger
from adapters.store.reconcile import PostgresOpenRuns
from adapters.store.runs import PostgresRunLedger
from adapters.store.upkeep import Upkeep
from adapters.store.wakeups import Notifier
from adapters.store.warnings import PostgresWarnings
from adapters.store.workers import PostgresWorkers
from adapters.telemetry.metrics import WorkerMetrics
from adapters.telemetry.run_spans import RunSpans
from adapters.temporal.reconciler import EQUAL_FAILURES, QUIET_SECONDS, Reconciler
from adapters.workspace.calls import GitCalls
from adapters.workspace.workspaces import GitWorkspaces
from domain.pipelines.spec import PhaseKind
from domain.runs.ids import TASK_QUEUE
from pipelines.prompts import Prompts
from worker.agents import agent_phases
from worker.external_agents import external_agents
from worker.gateway import open_gateway
from worker.life import SignsOfLife
from worker.settings import WorkerSettings
from worker.shipped import ShippedPipelines
from workflows.one_input import OneInput
from workflows.run import RunWorkflow

SCRIPTS = Path(__file__).resolve().parents[1] / "pipelines" / "scripts"
SHARED_FOLDER = Path("/var/lib/millwright")
"""What a stack of root keeps outside its state folder (PostgreSQL's data)."""
STICKY_TIMEOUT = timedelta(seconds=1)
"""After a worker is killed the next task of a workflow it cached waits this long (10 s by default)."""
WORKFLOW_RUNNER = UnsandboxedWorkflowRunner()
"""Users bring no workflow code, so what the SDK's sandbox finds it finds in our tests, which run and replay in it. In
production it would cost a quarter of the worker's time (it loads the workflow's modules anew for each run)."""


@dataclass(frozen=True)
class Composition:
    worker: Worker
    records: RunRecords
    database: Database
    ledger: PostgresRunLedger
    workspaces: GitWorkspaces
    background: Mapping[str, Callable[[], Awaitable[None]]]
    """Tasks that must run beside the worker."""
    metrics: WorkerMetrics
    gateway: Gateway
    name: str

    def reconciler(
        self, client: Client, *, quiet_seconds: float = QUIET_SECONDS, equal_failures: int = EQUAL_FAILURES
    ) -> Reconciler:
        return Reconciler(
            PostgresOpenRuns(self.database, self.name),
            self.ledger,
            client,
            quiet_seconds=quiet_seconds,
            equal_failures=equal_failures,
        )


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@asynccontextmanager
async def compose(
    settings: WorkerSettings,
    client: Client,
    *,
    environment: Mapping[str, str],
    redactor: SecretRedactor,
    workflow_runner: WorkflowRunner = WORKFLOW_RUNNER,
) -> AsyncIterator[Composition]:
    """Opens the record and the artifact store; closes them at the end. Does not wait for either."""
    name = worker_name()
    points = failpoints(settings.failpoints)
    metrics = WorkerMetrics()
    async with (
        open_database(
            settings.database_url,
            max_connections=settings.phase_slots + 4,
            name=f"millwright worker {name}",
            generic_plans=True,
        ) as database,
        open_providers(scripts=SCRIPTS, secrets=SecretResolver(environment, redactor)) as providers,
        open_forwarding(
            secrets=SecretResolver(environment, redactor), redactor=redactor, providers=providers
        ) as forwarding,
        AsyncExitStack() as stack,
    ):
        notifier = Notifier(database)
        phase_ledger = PostgresPhaseLedger(database, notifier.mark)
        run_ledger = PostgresRunLedger(database, notifier.mark)
        artifacts = ObjectArtifactStore(settings.artifacts)
        workspaces = GitWorkspaces(settings.state_dir / "workspaces")
        warnings = PostgresWarnings(database, notifier.mark)
        trees = TreeKeeper(
            workspaces=workspaces,
            packing=workspaces.packs,
            record=PostgresPackRecord(database),
            artifacts=artifacts,
        )
        sandbox = GuardedSandbox(
            redactor,
            search_path=environment.get("PATH", os.defpath),
            bubblewrap_mode=settings.sandbox_mode,
            worktrees=settings.state_dir / "workspaces",
            hidden=(settings.state_dir, SHARED_FOLDER),
            limits=settings.command_limits,
        )
        calls = ModelCalls(
            ledger=PostgresCallLedger(database, worker=name),
            providers=providers,
            artifacts=artifacts,
            redactor=redactor,
            prices=GenaiPrices(),
            metrics=metrics,
            failpoints=points,
            stage_models=settings.stage_models,
        )
        gateway = await stack.enter_async_context(
            open_gateway(port=settings.gateway_port, calls=calls, forwarding=forwarding)
        )
        prompts = Prompts()
        prompting = Prompting(workspaces=workspaces, prompts=prompts)
        asking = Asking(calls=calls, prompting=prompting, artifacts=artifacts)
        setup = WorkspaceSetup(
            sandbox=sandbox,
            ledger=phase_ledger,
            workspaces=workspaces,
            redactor=redactor,
            notice=ProtectionNotice(sandbox=sandbox, warnings=warnings),
        )
        agent_record = PostgresAgentRecord(database, notifier.mark)
        ticker = LeaseTicker(phase_ledger)
        phases = Phases(
            ledger=phase_ledger,
            sink=PostgresOutputSink(database, notifier.mark),
            worktrees=Worktrees(workspaces, trees),
            executors={
                PhaseKind.MODEL: ModelExecutor(asking=asking, workspaces=workspaces),
                PhaseKind.REVIEW: ReviewExecutor(asking=asking),
                PhaseKind.COMMAND: VerifyingExecutor(
                    commands=CommandExecutor(
                        sandbox=sandbox,
                        ledger=phase_ledger,
                        artifacts=artifacts,
                        setup=setup,
                        redactor=redactor,
                    ),
                    workspaces=workspaces,
                    ledger=phase_ledger,
                    artifacts=artifacts,
                    baselines=PostgresBaselines(database),
                    warnings=warnings,
                    redactor=redactor,
                ),
                PhaseKind.AGENT: agent_phases(
                    calls=calls,
                    prompting=prompting,
                    ledger=phase_ledger,
                    record=agent_record,
                    artifacts=artifacts,
                    trees=trees,
                    workspaces=workspaces,
                    files=GitWorktreeFiles(GitCalls(settings.state_dir / "workspaces")),
                    sandbox=sandbox,
                    setup=setup,
                    redactor=redactor,
                    failpoints=points,
                    network=settings.agent_network,
                    boxes=McpToolBoxes(
                        sandbox=sandbox, secrets=SecretResolver(environment, redactor), redactor=redactor
                    ),
                    external=external_agents(
                        database=database,
                        record=agent_record,
                        gateway=gateway,
                        sandbox=sandbox,
                        calls=calls,
                        prompting=prompting,
                        prompts=prompts,
                        ledger=phase_ledger,
                        artifacts=artifacts,
                        workspaces=workspaces,
                        setup=setup,
                        redactor=redactor,
                        network=settings.agent_network,
                    ),
                ),
                PhaseKind.GIT: GitExecutor(
                    workspaces=workspaces,
                    trees=trees,
                    ledger=phase_ledger,
                    prompts=prompts,
                    failpoints=points,
                    warnings=warnings,
                ),
            },
            ticker=ticker,
            redactor=redactor,
            failpoints=points,
            telemetry=PhaseTelemetry(metrics),
            worker=name,
        )
        records = RunRecords(
            ledger=run_ledger,
            workspaces=workspaces,
            failpoints=points,
            telemetry=RunSpans(),
            heartbeat_seconds=settings.heartbeat_seconds,
            stage_models=settings.stage_models,
        )
        yield Composition(
            worker=_worker(settings, client, phases, records, name, workflow_runner),
            records=records,
            database=database,
            ledger=run_ledger,
            workspaces=workspaces,
            background={
                "ticker": ticker.run,
                "notifier": notifier.run,
                "signs of life": SignsOfLife(PostgresWorkers(database), name, settings.phase_slots).run,
                "upkeep": Upkeep(database).run,
                "shipped pipelines": ShippedPipelines(PostgresCatalogue(database)).run,
            },
            metrics=metrics,
            gateway=gateway,
            name=name,
        )


def _worker(
    settings: WorkerSettings,
    client: Client,
    phases: Phases,
    records: RunRecords,
    name: str,
    workflow_runner: WorkflowRunner,
) -> Worker:
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[RunWorkflow],
        interceptors=[OneInput()],
        activities=[
            phases.run_phase,
            records.open_run,
            records.finalise_run,
            records.apply_requests,
            records.record_request,
            records.request_cancel,
        ],
        identity=name,
        workflow_runner=workflow_runner,
        max_concurrent_activities=settings.phase_slots,
        max_cached_workflows=settings.cached_workflows,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=timedelta(seconds=settings.drain_seconds),
    )
