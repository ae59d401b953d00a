"""An agent's conversation as the record has it: segments that are only ever added, and the turns that they make.

A model's replies are not in the segments: they lie in the steps of their calls. A segment holds what the model was
told afterwards, and the tree in which that left the repository, so that the pair says where to go on.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum

from domain.base import Frozen
from domain.models.messages import AnsweredCall, Message, ModelReply, ToolResult


class SegmentKind(StrEnum):
    OPENING = "opening"
    """What the agent was asked, before its first turn."""
    RESULTS = "results"
    """Results of tool calls of one turn; a turn with an unsafe call has more than one such segment."""
    COMPACTION = "compaction"
    """From here on the turns up to `through` are shown as a summary."""


class Segment(Frozen):
    """What one checkpoint adds. `number` counts from 0 in the attempt, without gaps."""

    number: int
    kind: SegmentKind
    turn: int
    tree: str
    """Of the worktree after it."""
    seconds: float
    """How long the attempt had worked by then, over all its executions."""
    messages: tuple[Message, ...] = ()
    """Of the opening."""
    results: tuple[ToolResult, ...] = ()
    note: str = ""
    """What is said to the model beside the results, when its reply was badly formed."""
    whole: bool = True
    """The turn has no more calls to carry out."""
    finished: str | None = None
    """The agent says that its work is done; the text is its summary of it."""
    through: int = 0
    summary: str = ""
    """Empty: the turns were dropped, and only a mark stands for them."""


class Turn(Frozen):
    """One model call and what came of it."""

    number: int
    reply: ModelReply
    cost_usd: Decimal | None
    """None: unknown."""
    results: tuple[ToolResult, ...] = ()
    note: str = ""
    whole: bool = False


class Conversation(Frozen):
    opening: tuple[Message, ...]
    turns: tuple[Turn, ...] = ()
    through: int = 0
    """Newest turn that a summary stands for."""
    summary: str = ""
    segments: int = 0
    """How many there are: the number of the next one."""
    tree: str
    seconds: float = 0.0
    finished: str | None = None

    @property
    def next_turn(self) -> int:
        """Number of the next model call."""
        return self.turns[-1].number + 1 if self.turns else 1

    @property
    def open_turn(self) -> Turn | None:
        """The turn whose calls are not all carried out."""
        return self.turns[-1] if self.turns and not self.turns[-1].whole else None

    def asked(self, number: int, answered: AnsweredCall) -> "Conversation":
        """With the reply of its next turn."""
        turn = Turn(number=number, reply=answered.reply, cost_usd=answered.cost_usd)
        return self.model_copy(update={"turns": (*self.turns, turn)})

    def with_segment(self, segment: Segment) -> "Conversation":
        """As it stands once the segment is recorded. Raises ValueError for one that does not follow."""
        if segment.number != self.segments:
            raise ValueError(f"segment {segment.number} does not follow {self.segments - 1}")
        update: dict[str, object] = {
            "segments": self.segments + 1,
            "tree": segment.tree,
            "seconds": segment.seconds,
        }
        match segment.kind:
            case SegmentKind.OPENING:
                update["opening"] = segment.messages
            case SegmentKind.COMPACTION:
                update |= {"through": segment.through, "summary": segment.summary}
            case SegmentKind.RESULTS:
                update["turns"] = (*self.turns[:-1], _with_results(self.turns, segment))
                update["finished"] = segment.finished
        return self.model_copy(update=update)


def recorded(segments: Sequence[Segment], replies: Mapping[int, AnsweredCall]) -> Conversation:
    """The conversation that these segments make, oldest first, with the replies by turn. Raises ValueError when one
    is missing: nothing may be guessed."""
    conversation = Conversation(opening=(), tree="")
    for segment in segments:
        if segment.kind is SegmentKind.RESULTS and (not conversation.turns or _last(conversation) < segment.turn):
            if segment.turn not in replies:
                raise ValueError(f"the reply of turn {segment.turn} is missing")
            conversation = conversation.asked(segment.turn, replies[segment.turn])
        conversation = conversation.with_segment(segment)
    return conversation


def _last(conversation: Conversation) -> int:
    return conversation.turns[-1].number


def _with_results(turns: tuple[Turn, ...], segment: Segment) -> Turn:
    if not turns or turns[-1].number != segment.turn or turns[-1].whole:
        raise ValueError(f"segment {segment.number} tells of turn {segment.turn}, which is not the one that is open")
    turn = turns[-1]
    return turn.model_copy(
        update={"results": (*turn.results, *segment.results), "note": segment.note, "whole": segment.whole}
    )
