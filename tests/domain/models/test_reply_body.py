"""The recorded body of an answer: nothing of the reply is lost, and a plain text stays what it is."""

from hypothesis import given
from hypothesis import strategies as st

from domain.models.messages import Finish, ModelReply, TokenUsage, ToolCall
from domain.models.reply_body import MARK, read_reply, reply_body

_TEXT = st.text(st.characters(codec="utf-8"), max_size=50) | st.just(f"{MARK}1}}")
_CALLS = st.lists(st.builds(ToolCall, id=_TEXT, name=_TEXT, arguments=_TEXT), max_size=3).map(tuple)
_REPLIES = st.builds(
    ModelReply,
    text=_TEXT,
    tool_calls=_CALLS,
    finish=st.none() | st.sampled_from(Finish),
    usage=st.builds(TokenUsage, tokens_cache_written=st.none() | st.integers(0, 9)),
)


@given(_REPLIES)
def test_what_is_written_is_read_again(reply: ModelReply) -> None:
    assert read_reply(reply_body(reply), TokenUsage()) == reply


def test_a_text_that_ended_normally_is_its_own_body() -> None:
    assert reply_body(ModelReply(text="grüße", finish=Finish.STOP)) == "grüße".encode()


def test_other_usage_comes_from_the_record() -> None:
    body = reply_body(ModelReply(text="a", usage=TokenUsage(tokens_in=5, tokens_cache_written=2)))
    assert read_reply(body, TokenUsage(tokens_in=7)).usage == TokenUsage(tokens_in=7, tokens_cache_written=2)
