"""Conversations for tests."""

from decimal import Decimal

from domain.agents.conversation import Conversation, Turn
from domain.models.messages import Message, ModelReply, Speaker, ToolCall, ToolResult

TOOLS = ("read_file", "write_file", "run_command", "finish")
OPENING = (Message(speaker=Speaker.USER, text="Mend it."),)


def call(name: str = "read_file", arguments: str = '{"path": "a"}', id_: str = "c1") -> ToolCall:
    return ToolCall(id=id_, name=name, arguments=arguments)


def turn(
    number: int, *calls: ToolCall, results: tuple[str, ...] = ("ok",), text: str = "", note: str = "", cost: str = "0"
) -> Turn:
    told = tuple(
        ToolResult(call_id=each.id, name=each.name, text=result) for each, result in zip(calls, results, strict=False)
    )
    reply = ModelReply(text=text, tool_calls=calls)
    return Turn(number=number, reply=reply, cost_usd=Decimal(cost), results=told, note=note, whole=True)


def conversation(*turns: Turn, through: int = 0, summary: str = "") -> Conversation:
    return Conversation(opening=OPENING, turns=turns, through=through, summary=summary, tree="t" * 40)
