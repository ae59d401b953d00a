"""A client's request as our own model calls have it."""

from domain.base import Frozen
from domain.models.messages import Message, Speaker, ToolCall, ToolResult, ToolSpec


class Translated(Frozen):
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    max_output_tokens: int | None = None
    json_schema: dict[str, object] | None = None
    seed: int | None = None

    @property
    def turn(self) -> int:
        """Of the agent: what it was answered before stands in the conversation, also when it was resumed."""
        return 1 + sum(message.speaker is Speaker.ASSISTANT for message in self.messages)


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
