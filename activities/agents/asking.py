"""The model calls of an agent phase: the next turn, and the summary of turns that no longer fit.

Before each call the caps are looked at; what they leave bounds the reply. An answered call is found again by its key:
`turn#<n>`, `compact#<segment>`.
"""

from activities.agents.checkpoints import Checkpoints
from activities.agents.working import Working
from activities.models.calls import ModelCalls
from activities.runs.asking import call_scope
from activities.runs.prompting import turn_of
from domain.agents.caps import Hit, hit, output_room
from domain.agents.context import (
    BYTES_PER_TOKEN,
    SUMMARY_BYTES,
    Compaction,
    compaction_due,
    room_for_input,
    summary_prompt,
    tokens_of,
)
from domain.agents.conversation import Segment, SegmentKind
from domain.models.messages import AnsweredCall, CallRefused, Message, Speaker, ToolSpec
from domain.runs.failure import ErrorKind, FailureClass

CALL_SECONDS = 600.0
"""Longest time of one model call."""
SUMMARY_TOKENS = 2_000
SUMMARY_ROLE = "summary"
"""Who speaks when turns are summed up; the model is the agent's own."""
MALFORMED_TRIES = 3
"""Answers of a provider in a row that are no answer at all, before the attempt ends with that."""


class AgentAsking:
    def __init__(self, *, calls: ModelCalls, checkpoints: Checkpoints) -> None:
        self._calls = calls
        self._checkpoints = checkpoints

    async def ask(self, work: Working, tools: tuple[ToolSpec, ...]) -> Hit | None:
        """Adds the reply of the next turn to the conversation; or says which cap left no room for it."""
        room = room_for_input(work.window, work.spec.max_output_tokens)
        tools_tokens = tokens_of((), tools)
        tokens = work.shown.tokens(work.conversation) + tools_tokens
        over = hit(work.caps, work.spent, min(room, tokens))
        if over is not None:
            return over
        due = compaction_due(work.conversation, work.shown, room, tools_tokens)
        if due is not None:
            await self._compact(work, due, room)
            return await self.ask(work, tools)
        try:
            answered = await self._answer(work, tools, tokens)
        except CallRefused as refused:
            return await self._refused(work, tools, room, refused)
        work.answered(answered)
        number = work.conversation.next_turn
        work.conversation = work.conversation.asked(number, answered)
        if answered.reply.text:
            work.context.output.keep(f"[turn {number}] {answered.reply.text.rstrip()}\n")
        return None

    async def _answer(self, work: Working, tools: tuple[ToolSpec, ...], tokens: int) -> AnsweredCall:
        number = work.conversation.next_turn
        messages = work.shown.messages(work.conversation)
        for tries_left in reversed(range(MALFORMED_TRIES)):
            try:
                return await work.context.stop.race(
                    self._calls.call(
                        call_scope(work.context, f"turn#{number}", f"turn {number}: {work.model}"),
                        work.model,
                        messages=messages,
                        tools=tools,
                        role=work.spec.role,
                        turn=number,
                        iteration=turn_of(work.context),
                        max_output_tokens=output_room(work.caps, work.spent, tokens, work.spec.max_output_tokens),
                        timeout_seconds=max(1.0, min(CALL_SECONDS, work.seconds_left)),
                    )
                )
            except CallRefused as refused:
                if refused.error.kind is not ErrorKind.MALFORMED_RESPONSE or not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    async def _refused(self, work: Working, tools: tuple[ToolSpec, ...], room: int, refused: CallRefused) -> Hit | None:
        """Too long for the model: shorter, once more. Out of time: the cap says it better."""
        if refused.error.kind is ErrorKind.TIMEOUT and work.seconds_left <= 0:
            return hit(work.caps, work.spent, 0)
        if refused.error.kind is not ErrorKind.CONTEXT_LENGTH:
            raise refused
        due = compaction_due(work.conversation, work.shown, room, 0, forced=True)
        if due is None:
            raise refused
        await self._compact(work, due, room)
        return await self.ask(work, tools)

    async def _compact(self, work: Working, due: Compaction, room: int) -> None:
        """Recorded like a turn; the segments that it stands for stay as they are."""
        summary = await self._summary(work, due, room)
        draft = Segment(
            number=0,
            kind=SegmentKind.COMPACTION,
            turn=due.through,
            tree="",
            seconds=0.0,
            through=due.through,
            summary=summary,
        )
        work.context.output.keep(
            f"[turns 1 to {due.through} are {'summarised' if summary else 'left out'} from here]\n"
        )
        await self._checkpoints.write(work, draft)

    async def _summary(self, work: Working, due: Compaction, room: int) -> str:
        """Empty when the model could not make one: then the turns are dropped with a mark."""
        prompt = summary_prompt(work.conversation, due, limit_bytes=room * BYTES_PER_TOKEN // 2)
        try:
            answered = await work.context.stop.race(
                self._calls.call(
                    call_scope(work.context, f"compact#{work.conversation.segments}", f"summary: {work.model}"),
                    work.model,
                    messages=(Message(speaker=Speaker.USER, text=prompt),),
                    role=SUMMARY_ROLE,
                    turn=work.conversation.next_turn,
                    iteration=turn_of(work.context),
                    max_output_tokens=SUMMARY_TOKENS,
                    timeout_seconds=max(1.0, min(CALL_SECONDS, work.seconds_left)),
                )
            )
        except CallRefused as refused:
            may_pass = refused.error.failure_class in (FailureClass.INFRASTRUCTURE, FailureClass.WAIT)
            if may_pass or refused.error.budget is not None or refused.error.kind is ErrorKind.CANCELLED:
                raise
            return ""
        work.answered(answered)
        return answered.reply.text.strip().encode()[:SUMMARY_BYTES].decode(errors="ignore")
