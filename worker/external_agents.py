"""The part of the composition root that puts external agents together."""

from collections.abc import Mapping

from activities.agents.external.executor import ExternalAgentExecutor
from activities.agents.external.opening import Openings
from activities.models.calls import ModelCalls
from activities.runs.context import PhaseExecutor
from activities.runs.prompting import Prompting
from activities.runs.setup import WorkspaceSetup
from adapters.agents.folders import LocalAgentFolders
from adapters.agents.registry import EXTERNAL_AGENTS
from adapters.store.agent_sessions import PostgresEarlierSessions
from adapters.store.agents import PostgresAgentRecord
from adapters.store.database import Database
from domain.artifacts.ports import ArtifactStore
from domain.gateway.ports import GatewayPort
from domain.pipelines.ports import PromptRenderer
from domain.pipelines.spec import AgentExecutor
from domain.redaction import Redactor
from domain.runs.ports import PhaseLedger
from domain.sandbox.ports import NetworkAccess, Sandbox
from domain.workspaces.ports import Workspaces


def external_agents(
    *,
    database: Database,
    record: PostgresAgentRecord,
    gateway: GatewayPort,
    sandbox: Sandbox,
    calls: ModelCalls,
    prompting: Prompting,
    prompts: PromptRenderer,
    ledger: PhaseLedger,
    artifacts: ArtifactStore,
    workspaces: Workspaces,
    setup: WorkspaceSetup,
    redactor: Redactor,
    network: NetworkAccess,
) -> Mapping[AgentExecutor, PhaseExecutor]:
    folders, earlier = LocalAgentFolders(), PostgresEarlierSessions(database)
    executor = ExternalAgentExecutor(
        agents=EXTERNAL_AGENTS,
        sandbox=sandbox,
        gateway=gateway,
        ledger=ledger,
        record=record,
        sessions=record,
        earlier=earlier,
        openings=Openings(
            sessions=earlier,
            folders=folders,
            workspaces=workspaces,
            prompting=prompting,
            prompts=prompts,
        ),
        folders=folders,
        workspaces=workspaces,
        artifacts=artifacts,
        setup=setup,
        calls=calls,
        redactor=redactor,
        network=network,
    )
    return dict.fromkeys(EXTERNAL_AGENTS, executor)
