"""A scripted reply in OpenAI's wire format: a whole completion, or the same as a stream of chunks."""

import json
import time
from collections.abc import Iterator
from uuid import uuid4

from domain.models.messages import Finish, TokenUsage, ToolCall

_PIECE = 24
"""Characters of text or arguments in one chunk."""


class WireReply:
    """One answer of model `model`. `finish` goes out as the script says it, whatever the content is."""

    def __init__(
        self, *, model: str, text: str, tool_calls: tuple[ToolCall, ...], finish: Finish, usage: TokenUsage
    ) -> None:
        self._text = text
        self._tool_calls = tool_calls
        self._finish = finish.value
        self._usage = _usage(usage)
        self._head = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": model}

    def whole(self) -> dict[str, object]:
        message: dict[str, object] = {"role": "assistant", "content": self._text or None}
        if not self._tool_calls:
            message["content"] = self._text
        else:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self._tool_calls
            ]
        choice = {"index": 0, "finish_reason": self._finish, "message": message}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            **({} if self._usage is None else {"usage": self._usage}),
        }

    def events(self, *, with_usage: bool) -> Iterator[bytes]:
        """Server-sent events. Usage comes in a chunk of its own where the client asked for it and it is known."""
        for delta in self._deltas():
            yield self._event([{"index": 0, "delta": delta, "finish_reason": None}])
        yield self._event([{"index": 0, "delta": {}, "finish_reason": self._finish}])
        if with_usage and self._usage is not None:
            yield self._event([], usage=self._usage)
        yield b"data: [DONE]\n\n"

    def _deltas(self) -> Iterator[dict[str, object]]:
        yield {"role": "assistant", "content": ""}
        for piece in _pieces(self._text):
            yield {"content": piece}
        for index, call in enumerate(self._tool_calls):
            function = {"name": call.name, "arguments": ""}
            yield {"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]}
            for piece in _pieces(call.arguments):
                yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}

    def _event(self, choices: list[dict[str, object]], **more: object) -> bytes:
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": choices, **more}
        return f"data: {json.dumps(chunk)}\n\n".encode()


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE]


def _usage(usage: TokenUsage) -> dict[str, object] | None:
    """None where a count that OpenAI always gives is unknown."""
    if usage.tokens_in is None or usage.tokens_out is None:
        return None
    found: dict[str, object] = {
        "prompt_tokens": usage.tokens_in,
        "completion_tokens": usage.tokens_out,
        "total_tokens": usage.tokens_in + usage.tokens_out,
    }
    if usage.tokens_cached is not None:
        found["prompt_tokens_details"] = {"cached_tokens": usage.tokens_cached}
    if usage.billed_usd is not None:
        found["cost"] = float(usage.billed_usd)
    return found
