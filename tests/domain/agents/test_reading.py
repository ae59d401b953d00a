"""Whatever a model says can be answered: nothing raises, and each fault is named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.agents.reading import Fault, read_reply
from domain.models.messages import Finish, ModelReply, ToolCall
from tests.domain.agents.build import TOOLS, call

CALLS = st.builds(
    ToolCall, id=st.text(max_size=8), name=st.sampled_from((*TOOLS, "send_mail", "")), arguments=st.text(max_size=40)
)
REPLIES = st.builds(
    ModelReply,
    text=st.text(max_size=20),
    tool_calls=st.lists(CALLS, max_size=4).map(tuple),
    finish=st.sampled_from((None, *Finish)),
)


@given(REPLIES)
def test_any_reply_is_read(reply: ModelReply) -> None:
    reading = read_reply(reply, TOOLS)
    assert len(reading.actions) == len(reply.tool_calls)
    for action in reading.actions:
        assert (action.arguments is None) == (action.problem is not None) == (action.fault is not None)
    sound = [action for action in reading.actions if action.fault is None]
    assert (reading.fault is None) == bool(sound)
    assert bool(reading.note) == (not reply.tool_calls)


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3))
def test_sound_arguments_arrive_as_they_were_meant(arguments: dict[str, object]) -> None:
    (action,) = read_reply(ModelReply(text="", tool_calls=(call(arguments=json.dumps(arguments)),)), TOOLS).actions
    assert action.arguments == arguments


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (ModelReply(text="I think."), Fault.NO_TOOL_CALL),
        (ModelReply(text="I thi", finish=Finish.LENGTH), Fault.TRUNCATED),
        (ModelReply(text="", tool_calls=(call(name="send_mail"),)), Fault.UNKNOWN_TOOL),
        (ModelReply(text="", tool_calls=(call(arguments="{"),)), Fault.INVALID_ARGUMENTS),
        (ModelReply(text="", tool_calls=(call(arguments="[]"),)), Fault.INVALID_ARGUMENTS),
        (ModelReply(text="", tool_calls=(call(arguments="[" * 100_000),)), Fault.INVALID_ARGUMENTS),
        (ModelReply(text="", tool_calls=(call(arguments='{"p'),), finish=Finish.LENGTH), Fault.TRUNCATED),
    ],
)
def test_each_fault_has_its_name(reply: ModelReply, fault: Fault) -> None:
    assert read_reply(reply, TOOLS).fault is fault


def test_a_whole_call_of_a_cut_reply_counts() -> None:
    reply = ModelReply(text="", tool_calls=(call(), call(arguments='{"pa', id_="c2")), finish=Finish.LENGTH)
    reading = read_reply(reply, TOOLS)
    assert [action.fault for action in reading.actions] == [None, Fault.TRUNCATED]
    assert reading.fault is None
