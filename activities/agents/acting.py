"""The tool calls of one turn, in their order: each a step with its row before the effect, then the checkpoint.

`idempotent` tools are repeated after a crash, because the tree of the last checkpoint is restored first. An `unsafe`
one gets a checkpoint of its own, in the transaction that ends its step, and is never repeated by itself.
"""

from time import monotonic

from activities.agents.boxes import Tools, title_of
from activities.agents.checkpoints import Checkpoints
from activities.agents.working import Working
from activities.agents.worktree_tools import NAMES
from activities.runs.command_phase import head_and_tail
from domain.agents import ends
from domain.agents.conversation import Segment, SegmentKind
from domain.agents.ports import EndedStep
from domain.agents.reading import Action, read_reply
from domain.agents.tools import ToolOutcome
from domain.errors import PhaseFailure
from domain.failpoints import AgentPoint, Failpoints
from domain.models.messages import ToolResult
from domain.redaction import Redactor
from domain.runs.ports import PhaseLedger, StepEnd, StepStart
from domain.runs.words import Effect, StepKind, StepStatus

TAIL_LINES = 5
TAIL_CHARACTERS = 1_000


class Acting:
    def __init__(
        self, *, ledger: PhaseLedger, checkpoints: Checkpoints, redactor: Redactor, failpoints: Failpoints
    ) -> None:
        self._ledger = ledger
        self._checkpoints = checkpoints
        self._redactor = redactor
        self._failpoints = failpoints

    async def act(self, work: Working, tools: Tools, *, result_limit: int) -> None:
        """Carries out what is left of the open turn. Raises PhaseFailure, Stopped, Unavailable."""
        turn = work.conversation.open_turn
        assert turn is not None, "a turn was asked for"
        reading = read_reply(turn.reply, tools.names)
        done, results = len(turn.results), list[ToolResult]()
        draft = Segment(number=0, kind=SegmentKind.RESULTS, turn=turn.number, tree="", seconds=0.0, note=reading.note)
        if done == len(reading.actions):
            await self._checkpoints.write(work, draft)
        for index, action in enumerate(reading.actions[done:], done + 1):
            outcome, ended = await self._carried_out(work, tools, turn.number, index, action, result_limit)
            results.append(
                ToolResult(call_id=action.call.id, name=action.call.name, text=outcome.text, is_error=outcome.is_error)
            )
            whole = outcome.finished or index == len(reading.actions)
            if whole or (ended is not None and tools.effect_of(action.call.name) is Effect.UNSAFE):
                told = {
                    "results": tuple(results),
                    "whole": whole,
                    "finished": outcome.text if outcome.finished else None,
                }
                await self._checkpoints.write(work, draft.model_copy(update=told), ended=ended)
                results.clear()
            elif ended is not None:
                await self._ledger.end_step(work.context.key, work.context.lease, ended.key, ended.end)
            if whole:
                return

    async def _carried_out(
        self, work: Working, tools: Tools, turn: int, index: int, action: Action, result_limit: int
    ) -> tuple[ToolOutcome, EndedStep | None]:
        if action.arguments is None:
            said = action.problem or "This call cannot be carried out."
            work.context.output.keep(f"-> {said[:200]}\n")
            return ToolOutcome(text=self._clean(said), is_error=True), None
        context, name, arguments = work.context, action.call.name, action.arguments
        title, effect = title_of(name, arguments, self._clean), tools.effect_of(name)
        key = self._key(work, turn, index, effect)
        step = StepStart(key=key, kind=StepKind.TOOL_CALL, title=title, effect=effect)
        earlier = await self._ledger.start_step(context.key, context.lease, step)
        if earlier is not None and effect is Effect.UNSAFE:
            raise PhaseFailure(ends.may_have_happened(title, earlier, turn))
        context.output.keep(f"-> {title}\n")
        work.dirty = work.dirty or effect is not Effect.NONE
        started = monotonic()
        calling = tools.call(name, arguments)
        outcome = await (calling if name in NAMES else context.stop.race(calling))
        self._failpoints.hit(AgentPoint.AFTER_TOOL)
        text = head_and_tail(self._clean(outcome.text), result_limit + 200)
        if outcome.is_error and not outcome.tail:  # what a command says is in the log already
            context.output.keep(f"   failed: {text.partition(chr(10))[0][:200]}\n")
        end = StepEnd(
            status=StepStatus.FAILED if outcome.is_error else StepStatus.DONE,
            run_seconds=monotonic() - started,
            exit_code=outcome.exit_code,
            signal=outcome.signal,
            tail=self._redactor.redact(outcome.tail or _tail(text)),
        )
        return outcome.model_copy(update={"text": text}), EndedStep(key=key, end=end)

    def _key(self, work: Working, turn: int, index: int, effect: Effect) -> str:
        """One for all executions where the call must not be repeated; else a repetition is a step of its own."""
        repeats = work.context.lease.number > 1 and turn == work.first_turn and effect is not Effect.UNSAFE
        return f"turn#{turn}/{index}" + (f"#{work.context.lease.number}" if repeats else "")

    def _clean(self, text: str) -> str:
        """As the record can hold it, without a known secret."""
        return self._redactor.redact_known(text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode())


def _tail(text: str) -> str:
    return "\n".join(line[:200] for line in text.rstrip().splitlines()[-TAIL_LINES:])[-TAIL_CHARACTERS:]
