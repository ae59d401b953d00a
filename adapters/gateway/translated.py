"""A client's request as our own model calls have it."""

from collections.abc import Mapping

from adapters.gateway.reading import items, obj
from domain.base import Frozen
from domain.models.messages import Message, Speaker, ToolCall, ToolResult, ToolSpec


class Translated(Frozen):
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    max_output_tokens: int | None = None
    json_schema: dict[str, object] | None = None
    seed: int | None = None


class Conversation:
    """Puts together what formats tell in parts: the assistant's text and calls are one message, and so are the
    results that follow."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._names: dict[str, str] = {}

    def say(self, speaker: Speaker, said: str) -> None:
        last = self._messages[-1] if self._messages else None
        if last is not None and last.speaker is speaker and not last.tool_results and speaker is Speaker.ASSISTANT:
            joined = f"{last.text}\n{said}" if last.text and said else last.text or said
            self._messages[-1] = last.model_copy(update={"text": joined})
        else:
            self._messages.append(Message(speaker=speaker, text=said))

    def call(self, call: ToolCall) -> None:
        self._names[call.id] = call.name
        if not self._messages or self._messages[-1].speaker is not Speaker.ASSISTANT:
            self._messages.append(Message(speaker=Speaker.ASSISTANT, text=""))
        last = self._messages[-1]
        self._messages[-1] = last.model_copy(update={"tool_calls": (*last.tool_calls, call)})

    def result(self, call_id: str, said: str, *, is_error: bool = False) -> None:
        result = ToolResult(call_id=call_id, name=self._names.get(call_id, ""), text=said, is_error=is_error)
        last = self._messages[-1] if self._messages else None
        if last is not None and last.tool_results and not last.text:
            self._messages[-1] = last.model_copy(update={"tool_results": (*last.tool_results, result)})
        else:
            self._messages.append(Message(speaker=Speaker.USER, text="", tool_results=(result,)))

    def messages(self) -> tuple[Message, ...]:
        return tuple(self._messages)


def turn_of(body: Mapping[str, object]) -> int:
    """Which of its calls an agent makes with this request, in any format, from 1: what it was answered before stands
    in the conversation, also when it was resumed. What the assistant says in one go is one answer."""
    said = items(body.get("messages")) or items(body.get("input"))
    answers, within = 0, False
    for item in map(obj, said):
        if item.get("type") == "reasoning":
            continue
        of_assistant = item.get("role") == "assistant" or item.get("type") == "function_call"
        answers += of_assistant and not within
        within = of_assistant
    return answers + 1
