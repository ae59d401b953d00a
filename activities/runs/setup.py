"""The workspace's set-up command, once per worktree and content: what git ignores is rebuilt, not kept in the tree."""

from activities.runs.context import PhaseContext
from activities.runs.protection import ProtectionNotice
from activities.runs.stop import Stopped, StopReason
from domain.errors import PhaseFailure
from domain.redaction import Redactor
from domain.runs.failure import EXCERPT_LIMIT, ErrorKind, PhaseError
from domain.runs.ports import PhaseLedger, StepEnd, StepStart
from domain.runs.words import Effect, StepKind, StepStatus
from domain.sandbox.ports import Command, CommandEnd, CommandResult, Sandbox, shell
from domain.workspaces.ports import Workspaces

SETUP_TIME_LIMIT_SECONDS = 1800.0
"""Dependencies of a large project; the phase's own limit counts beside it."""


class WorkspaceSetup:
    def __init__(
        self,
        *,
        sandbox: Sandbox,
        ledger: PhaseLedger,
        workspaces: Workspaces,
        redactor: Redactor,
        notice: ProtectionNotice,
    ) -> None:
        self._notice = notice
        self._redactor = redactor
        self._sandbox = sandbox
        self._ledger = ledger
        self._workspaces = workspaces

    async def ensure(self, context: PhaseContext) -> None:
        """Runs it unless this worktree had it with the same inputs. Raises PhaseFailure(workspace)."""
        await self._notice.tell(context)
        facts = context.tree.facts
        if facts.setup_command is None:
            return
        key = await self._workspaces.setup_key(facts, context.run.run_id, context.tree.tree)
        if self._workspaces.is_set_up(facts.workspace_id, context.run.run_id, key):
            return
        result = await self._run(context, facts.setup_command)
        if result.exit_code != 0:
            raise PhaseFailure(_failure(facts.name, facts.setup_command, result))
        self._workspaces.mark_set_up(facts.workspace_id, context.run.run_id, key)

    async def _run(self, context: PhaseContext, text: str) -> CommandResult:
        step = StepStart(
            key=f"set-up#{context.lease.number}",
            kind=StepKind.COMMAND,
            title=f"set-up: {self._redactor.redact(text)}"[:200],
            effect=Effect.IDEMPOTENT,
        )
        await self._ledger.start_step(context.key, context.lease, step)
        result = await self._sandbox.run(
            Command(
                argv=shell(text),
                cwd=context.tree.path,
                env=context.tree.facts.env,
                time_limit_seconds=SETUP_TIME_LIMIT_SECONDS,
                stall_seconds=context.spec.stall_seconds,
                lock=context.tree.guard_lock,
            ),
            on_output=context.output.say,
            should_stop=context.stop.asked,
        )
        if result.end is CommandEnd.KILLED:
            raise Stopped(context.stop.reason or StopReason.CANCELLED, result.output)
        end = StepEnd(
            status=StepStatus.DONE if result.exit_code == 0 else StepStatus.FAILED,
            run_seconds=result.run_seconds,
            exit_code=result.exit_code,
            signal=result.signal,
            tail=result.tail,
        )
        await self._ledger.end_step(context.key, context.lease, step.key, end)
        return result


def _failure(workspace: str, text: str, result: CommandResult) -> PhaseError:
    how = f"exit code {result.exit_code}" if result.end is CommandEnd.EXITED else str(result.end)
    return PhaseError(
        kind=ErrorKind.WORKSPACE,
        message=f"The set-up command of workspace {workspace} failed ({how}): `{text}`.",
        excerpt=result.output[-EXCERPT_LIMIT:],
        hint="Run it by hand in a fresh clone, mend it in the workspace's settings, then start the run again.",
    )
