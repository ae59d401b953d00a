"""`agent` phases by an external agent: it works in the run's worktree, its calls go through the gateway.

    opening (session, prompt, tree) -> grant -> start in the sandbox, its events into the record -> one end

What it claims is shown and never believed: calls, tokens and cost are the gateway's, the tree is what git sees.
"""

import asyncio
from collections.abc import Mapping

from activities.agents.external.ends import error_of, exhausted, over_cap
from activities.agents.external.granting import grant, none_left, spent_by
from activities.agents.external.launching import STDIN, command
from activities.agents.external.opening import Opening, Openings
from activities.agents.external.telling import Telling
from activities.models.calls import ModelCalls
from activities.runs.context import SUMMARY_LIMIT, PhaseContext, Work
from activities.runs.prompting import model_for
from activities.runs.setup import WorkspaceSetup
from activities.runs.stop import Stopped, StopReason
from domain.agents.caps import Spent
from domain.agents.external import AgentFolder, AgentFolders, AgentTask, EarlierSessions, ExternalAgent
from domain.agents.ports import AgentRecord, AgentSessions
from domain.artifacts.ports import ArtifactStore
from domain.errors import PhaseFailure
from domain.gateway.ports import GatewayAccess, GatewayPort, GatewayUse
from domain.pipelines.spec import AgentExecutor, AgentPhase
from domain.redaction import Redactor
from domain.runs.failure import FailureClass, PhaseError
from domain.runs.fingerprint import of_error
from domain.runs.ports import ArtifactRef, PhaseLedger, StepEnd, StepStart, Usage
from domain.runs.words import Effect, PhaseStatus, StepKind, StepStatus
from domain.sandbox.ports import CommandEnd, CommandResult, NetworkAccess, Sandbox
from domain.workspaces.ports import Workspaces

PROBLEMS_BYTES = 16 * 1024
"""Of standard error."""


class Tried:
    """One start of the agent and what came of it."""

    def __init__(self, result: CommandResult, told: Telling, problems: str) -> None:
        self.result = result
        self.told = told
        self.problems = problems


class ExternalAgentExecutor:
    def __init__(
        self,
        *,
        agents: Mapping[AgentExecutor, ExternalAgent],
        sandbox: Sandbox,
        gateway: GatewayPort,
        ledger: PhaseLedger,
        record: AgentRecord,
        sessions: AgentSessions,
        earlier: EarlierSessions,
        openings: Openings,
        folders: AgentFolders,
        workspaces: Workspaces,
        artifacts: ArtifactStore,
        setup: WorkspaceSetup,
        calls: ModelCalls,
        redactor: Redactor,
        network: NetworkAccess = NetworkAccess.SHARED,
    ) -> None:
        self._agents = agents
        self._network = network
        self._sandbox = sandbox
        self._gateway = gateway
        self._ledger = ledger
        self._record = record
        self._sessions = sessions
        self._earlier = earlier
        self._openings = openings
        self._folders = folders
        self._workspaces = workspaces
        self._artifacts = artifacts
        self._setup = setup
        self._calls = calls
        self._redactor = redactor

    async def execute(self, context: PhaseContext) -> Work:
        spec = context.spec
        assert isinstance(spec, AgentPhase)
        agent = self._agents[spec.executor]
        model = model_for(context, spec, await self._calls.defaults(context.key.org_id))
        await self._setup.ensure(context)
        before = await self._spent_before(context)
        if cap := none_left(spec, before):
            return _failed(over_cap(spec, cap, "(earlier executions of this attempt used it)"), GatewayUse(), model)
        folder = self._folders.of(context.tree.path, spec.executor)
        opening = await self._openings.of(context, spec, folder)
        async with self._gateway.granted(grant(context, spec, model, before)) as access:
            tried = await self._try(context, spec, agent, model, folder, opening, access, start=1)
            if _knows_no_such_session(opening, tried, self._gateway.use(access.token)):
                opening = await self._openings.new(
                    context, spec, "a new session: the agent does not know the earlier one"
                )
                tried = await self._try(context, spec, agent, model, folder, opening, access, start=2)
        use = self._gateway.use(access.token)
        await self._earlier.count_turns(context.key, context.lease, before.turns + use.calls)
        await context.output.say(_closing(spec, tried.told, use, tried.told.shown.finish()))
        if tried.result.end is CommandEnd.KILLED and exhausted(use) is None:
            raise Stopped(context.stop.reason or StopReason.CANCELLED, tried.told.shown.text)
        error = error_of(
            spec, agent, tried.result, tried.told, use, tried.problems, limit_seconds=context.phase.time_limit_seconds
        )
        if error is not None and error.failure_class is FailureClass.WAIT:
            raise PhaseFailure(error)
        return (await self._done(context, model, tried, use)).model_copy(update=_failure(error))

    async def _spent_before(self, context: PhaseContext) -> Spent:
        """By earlier executions of this attempt: its caps hold for all of them together."""
        opened = await self._record.open(context.key, context.lease)
        return spent_by(call.cost for call in opened.calls)

    async def _try(
        self,
        context: PhaseContext,
        spec: AgentPhase,
        agent: ExternalAgent,
        model: str,
        folder: AgentFolder,
        opening: Opening,
        access: GatewayAccess,
        *,
        start: int,
    ) -> Tried:
        launch = agent.launch(
            AgentTask(
                prompt=opening.prompt,
                session_id=opening.session_id,
                model=model.partition(":")[2],
                openai_url=access.base_url_openai,
                anthropic_url=access.base_url_anthropic,
                token=access.token,
                home=folder.home,
                given=folder.given,
            )
        )
        await self._folders.give(folder, {**launch.files, STDIN: launch.stdin})
        told = Telling(
            context=context,
            stream=agent.events(resumed=opening.session_id),
            ledger=self._ledger,
            sessions=self._sessions,
            workspaces=self._workspaces,
            redactor=self._redactor,
            tree=opening.tree,
            start=start,
        )
        told.shown.add(f"[{spec.executor} with {model}: {opening.told}]\n")
        step = StepStart(
            key=f"agent#{context.lease.execution_id.hex[:12]}.{start}",
            kind=StepKind.COMMAND,
            title=f"{spec.executor}: {opening.told}"[:200],
            effect=Effect.IDEMPOTENT,
        )
        await self._ledger.start_step(context.key, context.lease, step)
        telling = asyncio.create_task(told.run())

        def should_stop() -> str | None:
            if telling.done():
                return "what it says cannot be recorded"
            cap = exhausted(self._gateway.use(access.token))
            return context.stop.asked() or (f"cap on {cap}" if cap else None)

        try:
            result = await self._sandbox.run(
                command(context, launch, folder, access, self._network),
                on_output=_not_shown,
                should_stop=should_stop,
                on_data=told.hear,
                in_progress=lambda: self._gateway.use(access.token).in_flight > 0,
            )
            told.end()
            await telling
        finally:
            telling.cancel()
        if not told.ended_well(result) and context.stop.reason is not StopReason.LEASE_LOST:
            await told.checkpoint()
        problems = self._redactor.redact(await self._folders.problems(folder, limit_bytes=PROBLEMS_BYTES))
        await self._ledger.end_step(context.key, context.lease, step.key, _step_end(result, problems))
        return Tried(result, told, problems)

    async def _done(self, context: PhaseContext, model: str, tried: Tried, use: GatewayUse) -> Work:
        text = tried.told.shown.text
        body = text.encode("utf-8", "replace")
        digest = await self._artifacts.put(context.key.org_id, body)
        summary = tried.told.result.text if tried.told.result is not None else text[-SUMMARY_LIMIT:]
        return Work(
            summary=summary,
            exit_code=tried.result.exit_code,
            signal=tried.result.signal,
            usage=_usage(use),
            model_asked=model,
            model_answered=use.model_answered,
            artifacts=(ArtifactRef(sha256=digest, size_bytes=len(body), name="output"),),
        )


async def _not_shown(_: str) -> None:
    """The raw event stream is for us; people see what it tells."""


def _knows_no_such_session(opening: Opening, tried: Tried, use: GatewayUse) -> bool:
    """It was to go on with a session, and ended at once without a call, a word or a tool."""
    return (
        opening.session_id is not None
        and tried.result.end is CommandEnd.EXITED
        and tried.result.exit_code != 0
        and use.calls == 0
        and tried.told.tools == 0
        and not tried.told.said_anything
    )


def _closing(spec: AgentPhase, told: Telling, use: GatewayUse, last: str) -> str:
    """The last words, and for comparison what it claims beside what was counted."""
    lines = [last]
    if told.claimed is not None:
        lines.append(
            f"[{spec.executor} claims {_count(told.claimed.tokens_in)} tokens in and {_count(told.claimed.tokens_out)} "
            f"out; the gateway counted {use.tokens_in:,} in and {use.tokens_out:,} out in {use.calls} calls]\n"
        )
    elif use.calls == 0:
        lines.append(f"[{spec.executor} made no call through the gateway]\n")
    if unknown := told.unknown_events:
        lines.append(f"[events of types that are not known: {unknown}]\n")
    if told.left_out:
        lines.append(f"[{told.left_out:,} events were counted and not kept]\n")
    return "".join(lines)


def _count(tokens: int | None) -> str:
    return "an unknown number of" if tokens is None else f"{tokens:,}"


def _step_end(result: CommandResult, problems: str) -> StepEnd:
    return StepEnd(
        status=StepStatus.DONE if result.end is CommandEnd.EXITED and result.exit_code == 0 else StepStatus.FAILED,
        run_seconds=result.run_seconds,
        exit_code=result.exit_code,
        signal=result.signal,
        tail="\n".join(line[:400] for line in problems.strip().splitlines()[-5:]),
    )


def _usage(use: GatewayUse) -> Usage:
    return Usage(
        tokens_in=use.tokens_in,
        tokens_out=use.tokens_out,
        tokens_cached=use.tokens_cached,
        cost_usd=use.cost_usd,
        api_seconds=use.api_seconds,
    )


def _failure(error: PhaseError | None) -> dict[str, object]:
    if error is None:
        return {}
    return {"status": PhaseStatus.FAILED, "error": error, "fingerprint": of_error(error)}


def _failed(error: PhaseError, use: GatewayUse, model: str) -> Work:
    return Work(usage=_usage(use), model_asked=model).model_copy(update=_failure(error))
