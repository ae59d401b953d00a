"""The recorded body of an answer: from it a repeated call gives the very same reply.

A text that ended normally is its own body. What holds more (tool calls, another end) is one JSON object that begins
with MARK; a text that begins so is written as an object too, so that no text is taken for one.
"""

from typing import Literal

from pydantic import Field

from domain.base import Frozen
from domain.models.messages import Finish, ModelReply, TokenUsage, ToolCall

MARK = '{"millwright_reply":'


class _Body(Frozen):
    millwright_reply: Literal[1] = 1
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish | None = None
    cache_written: int | None = Field(default=None, ge=0)
    """Of the usage: the one count that has no column of its own."""


def reply_body(reply: ModelReply) -> bytes:
    """UTF-8. The reply holds no lone surrogates (activities.models.answer sees to it)."""
    written = reply.usage.tokens_cache_written
    plain = reply.finish is Finish.STOP and not reply.tool_calls and written is None
    if plain and not reply.text.startswith(MARK):
        return reply.text.encode()
    body = _Body(text=reply.text, tool_calls=reply.tool_calls, finish=reply.finish, cache_written=written)
    return body.model_dump_json().encode()


def read_reply(body: bytes, usage: TokenUsage) -> ModelReply:
    """Text, tool calls, finish and usage of a recorded body; `usage` is what the columns say of it."""
    text = body.decode()
    if not text.startswith(MARK):
        return ModelReply(text=text, usage=usage, finish=Finish.STOP)
    found = _Body.model_validate_json(text)
    counted = usage.model_copy(update={"tokens_cache_written": found.cache_written})
    return ModelReply(text=found.text, usage=counted, tool_calls=found.tool_calls, finish=found.finish)
