"""`command` phases: a shell command line in the worktree, under the guard."""

from activities.runs.context import SUMMARY_LIMIT, PhaseContext, Work
from activities.runs.setup import WorkspaceSetup
from activities.runs.stop import Stopped, StopReason
from domain.artifacts.ports import ArtifactStore
from domain.errors import InvalidInput, PhaseFailure
from domain.pipelines.spec import CommandPhase
from domain.redaction import Redactor
from domain.runs.failure import EXCERPT_LIMIT, ErrorKind, PhaseError
from domain.runs.fingerprint import of_output
from domain.runs.ports import ArtifactRef, PhaseLedger, RunFacts, StepEnd, StepStart
from domain.runs.words import Effect, PhaseStatus, StepKind, StepStatus
from domain.sandbox.ports import Command, CommandEnd, CommandResult, Sandbox, shell


class CommandExecutor:
    def __init__(
        self,
        *,
        sandbox: Sandbox,
        ledger: PhaseLedger,
        artifacts: ArtifactStore,
        setup: WorkspaceSetup,
        redactor: Redactor,
    ) -> None:
        self._redactor = redactor
        self._sandbox = sandbox
        self._ledger = ledger
        self._artifacts = artifacts
        self._setup = setup

    async def execute(self, context: PhaseContext) -> Work:
        spec = context.spec
        assert isinstance(spec, CommandPhase)
        text = command_text(spec, context.run)
        told = self._redactor.redact(text)  # before it is cut: a part of a secret is not recognized
        await self._setup.ensure(context)
        step = StepStart(
            key=_step_key(spec, context.lease.number), kind=StepKind.COMMAND, title=told[:200], effect=spec.effect
        )
        earlier = await self._ledger.start_step(context.key, context.lease, step)
        if earlier is not None and spec.effect is Effect.UNSAFE:
            raise PhaseFailure(_may_have_happened(spec, earlier))
        result = await self._sandbox.run(
            Command(
                argv=shell(text),
                cwd=context.tree.path,
                env=context.tree.facts.env,
                time_limit_seconds=context.phase.time_limit_seconds,
                stall_seconds=spec.stall_seconds,
                lock=context.tree.guard_lock,
            ),
            on_output=context.output.say,
            should_stop=context.stop.asked,
        )
        if result.end is CommandEnd.KILLED:
            raise Stopped(context.stop.reason or StopReason.CANCELLED, result.output)
        error = failure_of(told, result, context.phase.time_limit_seconds, spec.stall_seconds)
        await self._ledger.end_step(context.key, context.lease, step.key, _step_end(result, error))
        return Work(
            status=PhaseStatus.FAILED if error else PhaseStatus.PASSED,
            error=error,
            fingerprint=of_output(result.output, error) if error else None,
            summary=head_and_tail(result.output, SUMMARY_LIMIT),
            exit_code=result.exit_code,
            signal=result.signal,
            artifacts=await self._kept(context, result),
        )

    async def _kept(self, context: PhaseContext, result: CommandResult) -> tuple[ArtifactRef, ...]:
        """Live chunks are compacted into this artifact."""
        if not result.output:
            return ()
        body = result.output.encode()
        digest = await self._artifacts.put(context.key.org_id, body)
        return (ArtifactRef(sha256=digest, size_bytes=len(body), name="output"),)


def command_text(spec: CommandPhase, run: RunFacts) -> str:
    """The command line: the phase's own, or the workspace's test command (the run's setting first)."""
    if spec.command is not None:
        return spec.command
    text = run.settings.test_command or (run.workspace.test_command if run.workspace else None)
    if text is None:
        raise InvalidInput(
            f"Phase `{spec.name}` runs the workspace's test command, but none is set.",
            hint="Give one with --test-command, or set it on the workspace.",
            field="test_command",
        )
    return text


def failure_of(text: str, result: CommandResult, limit_seconds: float, stall_seconds: float) -> PhaseError | None:
    """Why the command, whose text is redacted, did not pass; None when it did."""
    shown = text if len(text) <= 120 else text[:119] + "…"
    excerpt = result.output[-EXCERPT_LIMIT:]
    match result.end:
        case CommandEnd.EXITED if result.exit_code == 0:
            return None
        case CommandEnd.TIME_LIMIT:
            return PhaseError(
                kind=ErrorKind.TIME_LIMIT,
                message=f"`{shown}` did not end within {limit_seconds:g} s and was killed.",
                excerpt=excerpt,
                hint="Make the command faster, or raise time_limit_seconds of the phase.",
            )
        case CommandEnd.STALLED:
            return PhaseError(
                kind=ErrorKind.STALLED,
                message=f"`{shown}` showed no output and used no CPU for {stall_seconds:g} s and was killed.",
                excerpt=excerpt,
                hint="It may wait for input or a lock; raise stall_seconds of the phase if it is really that quiet.",
            )
        case CommandEnd.CPU_LIMIT:
            return PhaseError(
                kind=ErrorKind.TIME_LIMIT,
                message=f"`{shown}` was killed. {result.limit}",
                excerpt=excerpt,
                hint="Make the command cheaper, or raise MILLWRIGHT_COMMAND_CPU_SECONDS of the worker.",
            )
        case CommandEnd.MEMORY_LIMIT | CommandEnd.PROCESS_LIMIT:
            return PhaseError(
                kind=ErrorKind.COMMAND_FAILED,
                message=f"`{shown}` was killed. {result.limit}",
                excerpt=excerpt,
                hint="Make the command smaller, or raise MILLWRIGHT_COMMAND_MEMORY_MB or _PROCESSES of the worker.",
            )
        case _:
            how = f"was ended by {result.signal}" if result.signal else f"ended with exit code {result.exit_code}"
            return PhaseError(
                kind=ErrorKind.COMMAND_FAILED,
                message=f"`{shown}` {how}. {result.limit or ''}".rstrip(),
                excerpt=excerpt or "(the command printed nothing)",
                hint="Its whole output is on the run's page.",
            )


def head_and_tail(text: str, limit: int) -> str:
    """The text, or its first quarter and its last three quarters of `limit` characters."""
    if len(text) <= limit:
        return text
    head, tail = limit // 4, limit - limit // 4 - 80
    return f"{text[:head]}\n[… {len(text) - head - tail} characters left out …]\n{text[-tail:]}"


def _step_key(spec: CommandPhase, execution: int) -> str:
    """An unsafe command has one key for all executions: it is never repeated by itself."""
    return "command" if spec.effect is Effect.UNSAFE else f"command#{execution}"


def _step_end(result: CommandResult, error: PhaseError | None) -> StepEnd:
    return StepEnd(
        status=StepStatus.FAILED if error else StepStatus.DONE,
        run_seconds=result.run_seconds,
        exit_code=result.exit_code,
        signal=result.signal,
        error=error,
        tail=result.tail,
    )


def _may_have_happened(spec: CommandPhase, earlier: StepStatus) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.WORKER_LOST,
        message=f"Command phase `{spec.name}` reaches outside (effect: unsafe) and was already started ({earlier}).",
        hint="Look whether it happened, then retry the phase by hand.",
    )
