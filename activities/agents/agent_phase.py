"""`agent` phases: a model changes the tree with tools, turn by turn, until it says that it has finished.

    open (from the start, or from the last checkpoint) -> [ask -> act -> checkpoint] ... -> finished, stuck, over a cap

Who works is the phase's `executor`: our own loop here, or an external agent (activities/agents/external).
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack

from activities.agents.acting import Acting
from activities.agents.asking import AgentAsking
from activities.agents.boxes import Tools
from activities.agents.opening import Opening
from activities.agents.working import Working
from activities.agents.worktree_tools import WorktreeTools
from activities.runs.context import PhaseContext, PhaseExecutor, Work
from activities.runs.setup import WorkspaceSetup
from activities.runs.stop import Stopped
from domain.agents import ends
from domain.agents.context import BYTES_PER_TOKEN
from domain.agents.ports import WorktreeFiles
from domain.agents.stuck import stuck_in
from domain.agents.tools import ToolBox, ToolBoxes, ToolPlace
from domain.errors import PhaseFailure
from domain.models.messages import CallRefused
from domain.pipelines.spec import AgentExecutor, AgentPhase
from domain.redaction import Redactor
from domain.runs.failure import FailureClass, PhaseError
from domain.runs.fingerprint import of_error
from domain.runs.words import PhaseStatus
from domain.sandbox.ports import NetworkAccess, Sandbox
from domain.workspaces.ports import Workspaces

RESULT_CHARACTERS = 30_000
"""Of one tool's result, at most; less where the model's window is small."""
RESULT_SHARE = 8
"""A result takes at most this part of the window."""


class AgentPhases:
    """The executor of PhaseKind.AGENT."""

    def __init__(self, *, builtin: PhaseExecutor, external: Mapping[AgentExecutor, PhaseExecutor]) -> None:
        self._executors = {AgentExecutor.BUILTIN: builtin, **external}

    async def execute(self, context: PhaseContext) -> Work:
        assert isinstance(context.spec, AgentPhase)
        return await self._executors[context.spec.executor].execute(context)


class BuiltinAgent:
    """`boxes` opens the tools of the servers that the workspace lists. `network`: of the agent's commands."""

    def __init__(
        self,
        *,
        opening: Opening,
        asking: AgentAsking,
        acting: Acting,
        workspaces: Workspaces,
        files: WorktreeFiles,
        sandbox: Sandbox,
        setup: WorkspaceSetup,
        redactor: Redactor,
        network: NetworkAccess,
        boxes: ToolBoxes | None = None,
    ) -> None:
        self._opening = opening
        self._asking = asking
        self._acting = acting
        self._workspaces = workspaces
        self._files = files
        self._sandbox = sandbox
        self._setup = setup
        self._redactor = redactor
        self._network = network
        self._boxes = boxes

    async def execute(self, context: PhaseContext) -> Work:
        spec = context.spec
        assert isinstance(spec, AgentPhase)
        work = await self._opening.open(context, spec)
        try:
            async with AsyncExitStack() as stack:
                error = await self._worked(work, await self._tools(stack, work))
        except (PhaseFailure, CallRefused) as failure:
            error = failure.error
            if error.failure_class in (FailureClass.INFRASTRUCTURE, FailureClass.WAIT):
                raise
        return _ended(work, error)

    async def _tools(self, stack: AsyncExitStack, work: Working) -> Tools:
        context, spec = work.context, work.spec
        facts = context.tree.facts
        boxes: list[ToolBox] = [
            WorktreeTools(
                context,
                workspaces=self._workspaces,
                files=self._files,
                sandbox=self._sandbox,
                setup=self._setup,
                redactor=self._redactor,
                network=self._network,
                command_seconds=spec.command_seconds,
                seconds_left=lambda: work.seconds_left,
                result_limit=_result_limit(work),
            )
        ]
        if facts.mcp_servers and self._boxes is not None:
            place = ToolPlace(
                org_id=context.key.org_id,
                run_id=context.run.run_id,
                worktree=context.tree.path,
                env=facts.env,
                time_limit_seconds=spec.command_seconds,
                seconds_left=lambda: work.seconds_left,
                servers=facts.mcp_servers,
            )
            if any(server.command is not None for server in facts.mcp_servers):
                await self._setup.ensure(context)  # which may install them
            boxes.append(await context.stop.race(stack.enter_async_context(self._boxes.open(place))))
        return Tools(boxes, unsafe=spec.unsafe_tools)

    async def _worked(self, work: Working, tools: Tools) -> PhaseError | None:
        """None: the agent has finished."""
        while work.conversation.finished is None:
            if work.context.stop.reason is not None:
                raise Stopped(work.context.stop.reason)
            if work.conversation.open_turn is None:
                evidence = stuck_in(work.conversation.turns, tools.names)
                if evidence is not None:
                    return ends.stuck(evidence)
                over = await self._asking.ask(work, tools.specs)
                if over is not None:
                    return ends.over_cap(over, work.conversation)
            await self._acting.act(work, tools, result_limit=_result_limit(work))
        return None


def _result_limit(work: Working) -> int:
    return min(RESULT_CHARACTERS, work.window * BYTES_PER_TOKEN // RESULT_SHARE)


def _ended(work: Working, error: PhaseError | None) -> Work:
    return Work(
        status=PhaseStatus.FAILED if error else PhaseStatus.PASSED,
        error=error,
        fingerprint=of_error(error) if error else None,
        summary=error.excerpt if error else work.conversation.finished or "",
        usage=work.usage,
        model_asked=work.model,
        model_answered=work.model_answered,
    )
