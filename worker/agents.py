"""The part of the composition root that puts agent phases together."""

from collections.abc import Mapping

from activities.agents.acting import Acting
from activities.agents.agent_phase import AgentPhases, BuiltinAgent
from activities.agents.asking import AgentAsking
from activities.agents.checkpoints import Checkpoints
from activities.agents.opening import Opening
from activities.models.calls import ModelCalls
from activities.runs.context import PhaseExecutor
from activities.runs.prompting import Prompting
from activities.runs.setup import WorkspaceSetup
from adapters.providers.windows import GenaiWindows
from domain.agents.ports import AgentRecord, WorktreeFiles
from domain.agents.tools import ToolBoxes
from domain.artifacts.ports import ArtifactStore
from domain.failpoints import Failpoints
from domain.pipelines.spec import AgentExecutor
from domain.redaction import Redactor
from domain.runs.ports import PhaseLedger
from domain.sandbox.ports import NetworkAccess, Sandbox
from domain.workspaces.packs import TreeKeeping
from domain.workspaces.ports import Workspaces


def agent_phases(
    *,
    calls: ModelCalls,
    prompting: Prompting,
    ledger: PhaseLedger,
    record: AgentRecord,
    artifacts: ArtifactStore,
    trees: TreeKeeping,
    workspaces: Workspaces,
    files: WorktreeFiles,
    sandbox: Sandbox,
    setup: WorkspaceSetup,
    redactor: Redactor,
    failpoints: Failpoints,
    network: NetworkAccess,
    boxes: ToolBoxes | None = None,
    external: Mapping[AgentExecutor, PhaseExecutor] | None = None,
) -> AgentPhases:
    checkpoints = Checkpoints(record=record, artifacts=artifacts, trees=trees, redactor=redactor, failpoints=failpoints)
    opening = Opening(
        calls=calls,
        prompting=prompting,
        record=record,
        artifacts=artifacts,
        trees=trees,
        windows=GenaiWindows(),
        checkpoints=checkpoints,
        failpoints=failpoints,
    )
    builtin = BuiltinAgent(
        opening=opening,
        asking=AgentAsking(calls=calls, checkpoints=checkpoints),
        acting=Acting(ledger=ledger, checkpoints=checkpoints, redactor=redactor, failpoints=failpoints),
        workspaces=workspaces,
        files=files,
        sandbox=sandbox,
        setup=setup,
        redactor=redactor,
        network=network,
        boxes=boxes,
    )
    return AgentPhases(builtin=builtin, external=external or {})
