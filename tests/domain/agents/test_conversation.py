"""Segments make the conversation again, whatever was recorded when the worker died."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.agents.conversation import Conversation, Segment, SegmentKind, recorded
from domain.models.messages import AnsweredCall, ModelReply, ToolResult
from tests.domain.agents.build import OPENING, call


def _answer(number: int, calls: int) -> AnsweredCall:
    made = tuple(call(id_=f"{number}-{n}") for n in range(calls))
    return AnsweredCall(reply=ModelReply(text=f"turn {number}", tool_calls=made), cost_usd=None)


def _opening() -> Segment:
    return Segment(number=0, kind=SegmentKind.OPENING, turn=0, tree="t0", seconds=0, messages=OPENING)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Segment], dict[int, AnsweredCall]]:
    """Turns of one or more segments each, with compactions in between."""
    segments, replies = [_opening()], dict[int, AnsweredCall]()
    for number in range(1, draw(st.integers(0, 6)) + 1):
        calls = draw(st.integers(0, 4))
        replies[number] = _answer(number, calls)
        cuts = sorted(draw(st.sets(st.integers(1, calls - 1)))) if calls > 1 else []
        for start, end in zip([0, *cuts], [*cuts, calls], strict=True):
            results = tuple(
                ToolResult(call_id=f"{number}-{n}", name="x", text=f"{number}.{n}") for n in range(start, end)
            )
            segments.append(
                Segment(
                    number=len(segments),
                    kind=SegmentKind.RESULTS,
                    turn=number,
                    tree=f"t{len(segments)}",
                    seconds=len(segments),
                    results=results,
                    whole=end == calls,
                )
            )
        if draw(st.booleans()):
            segments.append(
                Segment(
                    number=len(segments),
                    kind=SegmentKind.COMPACTION,
                    turn=number,
                    tree=segments[-1].tree,
                    seconds=len(segments),
                    through=number,
                    summary=f"up to {number}",
                )
            )
    return segments, replies


@given(histories(), st.data())
def test_what_was_recorded_until_any_moment_can_be_gone_on_with(
    history: tuple[list[Segment], dict[int, AnsweredCall]], data: st.DataObject
) -> None:
    segments, replies = history
    until = data.draw(st.integers(1, len(segments)))
    made = recorded(segments[:until], replies)
    assert made.segments == until
    assert made.tree == segments[until - 1].tree
    assert made.opening == OPENING
    told = [result.text for segment in segments[:until] for result in segment.results]
    assert [result.text for turn in made.turns for result in turn.results] == told
    assert [turn.number for turn in made.turns] == sorted({turn.number for turn in made.turns})
    last = segments[until - 1]
    is_open = last.kind is SegmentKind.RESULTS and not last.whole
    assert (made.open_turn is not None) == is_open
    for segment in segments[until:]:
        if segment.kind is SegmentKind.RESULTS and made.open_turn is None:
            made = made.asked(segment.turn, replies[segment.turn])
        made = made.with_segment(segment)
    assert made == recorded(segments, replies), "going on gives the same as never having stopped"


@given(histories())
def test_segments_survive_their_json(history: tuple[list[Segment], dict[int, AnsweredCall]]) -> None:
    for segment in history[0]:
        assert Segment.model_validate_json(segment.model_dump_json(exclude_defaults=True)) == segment


def test_a_missing_reply_is_not_guessed() -> None:
    results = Segment(number=1, kind=SegmentKind.RESULTS, turn=1, tree="t", seconds=1)
    with pytest.raises(ValueError, match="reply of turn 1"):
        recorded([_opening(), results], {})


def test_segments_follow_each_other() -> None:
    with pytest.raises(ValueError, match="does not follow"):
        Conversation(opening=(), tree="t").with_segment(_opening().model_copy(update={"number": 2}))
    opened = Conversation(opening=(), tree="t").with_segment(_opening()).asked(1, _answer(1, 1))
    with pytest.raises(ValueError, match="turn 2"):
        opened.with_segment(Segment(number=1, kind=SegmentKind.RESULTS, turn=2, tree="t", seconds=1))
