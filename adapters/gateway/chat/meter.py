"""Meter of OpenAI's chat completions. The first choice counts; usage may come with the last chunk or after it."""

from adapters.gateway.metering import Heard
from adapters.gateway.reading import count, items, money, name, obj, parsed, text
from adapters.gateway.sse import Event
from domain.models.messages import Finish, ModelReply, TokenUsage

_FINISH = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
}


class ChatMeter:
    def __init__(self) -> None:
        self._heard = Heard()
        self._finished = False
        self.ended = False
        self.error: dict[str, object] | None = None

    @property
    def complete(self) -> bool:
        return self.ended or self._finished

    def event(self, event: Event) -> None:
        data = event.data
        if data.strip() == "[DONE]":
            self.ended = True
            return
        self._take(parsed(data), "delta")

    def whole(self, body: bytes) -> None:
        self._take(parsed(body), "message")

    def reply(self) -> ModelReply:
        return self._heard.reply()

    def _take(self, chunk: dict[str, object], part: str) -> None:
        if chunk.get("error"):
            self.error = chunk
        heard = self._heard
        heard.model = name(chunk.get("model")) or heard.model
        heard.response_id = name(chunk.get("id")) or heard.response_id
        if isinstance(chunk.get("usage"), dict):
            heard.usage = _usage(obj(chunk["usage"]))
        for choice in map(obj, items(chunk.get("choices"))):
            if choice.get("index", 0) != 0:
                continue
            said = obj(choice.get(part))
            heard.texts.append(text(said.get("content")))
            for position, call in enumerate(map(obj, items(said.get("tool_calls")))):
                index = call.get("index")
                self._call(index if isinstance(index, int) else position, call)
            if isinstance(choice.get("finish_reason"), str):
                self._finished = True
                heard.finish = _FINISH.get(text(choice["finish_reason"]))

    def _call(self, index: int, call: dict[str, object]) -> None:
        heard = self._heard.call(index)
        function = obj(call.get("function"))
        heard.id = text(call.get("id")) or heard.id
        heard.name = text(function.get("name")) or heard.name
        heard.arguments.append(text(function.get("arguments")))


def _usage(usage: dict[str, object]) -> TokenUsage:
    return TokenUsage(
        tokens_in=count(usage.get("prompt_tokens")),
        tokens_out=count(usage.get("completion_tokens")),
        tokens_cached=count(obj(usage.get("prompt_tokens_details")).get("cached_tokens")),
        billed_usd=money(usage.get("cost")),
    )
