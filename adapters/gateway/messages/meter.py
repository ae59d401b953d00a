"""Meter of Anthropic's messages: input is told at the beginning, output with each message_delta, cumulatively.

Input tokens are told in three parts (plain, written to the cache, read from it); here they are one sum.
"""

import json

from adapters.gateway.metering import Heard
from adapters.gateway.reading import count, items, money, name, obj, parsed, text
from adapters.gateway.sse import Event
from domain.models.messages import Finish, ModelReply, TokenUsage

_FINISH = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
}


class MessagesMeter:
    def __init__(self) -> None:
        self._heard = Heard()
        self._usage: dict[str, object] = {}
        self._output_final = False
        self.ended = False
        self.error: dict[str, object] | None = None

    @property
    def complete(self) -> bool:
        return self.ended

    def event(self, event: Event) -> None:
        told = parsed(event.data)
        match text(told.get("type")) or event.name:
            case "message_start":
                self._message(obj(told.get("message")))
            case "content_block_start":
                self._block(told.get("index"), obj(told.get("content_block")))
            case "content_block_delta":
                self._delta(told.get("index"), obj(told.get("delta")))
            case "message_delta":
                self._stopped(obj(told.get("delta")))
                self._used(obj(told.get("usage")), final=True)
            case "message_stop":
                self.ended = True
            case "error":
                self.error = {"error": told.get("error") or told}
                self.ended = True

    def whole(self, body: bytes) -> None:
        message = parsed(body)
        self._message(message)
        for index, block in enumerate(items(message.get("content"))):
            self._block(index, obj(block))
        self._stopped(message)
        self._used({}, final=True)

    def reply(self) -> ModelReply:
        return self._heard.reply()

    def _message(self, message: dict[str, object]) -> None:
        self._heard.model = name(message.get("model")) or self._heard.model
        self._heard.response_id = name(message.get("id")) or self._heard.response_id
        self._used(obj(message.get("usage")), final=False)

    def _block(self, index: object, block: dict[str, object]) -> None:
        if block.get("type") == "text":
            self._heard.texts.append(text(block.get("text")))
        if block.get("type") == "tool_use" and isinstance(index, int):
            call = self._heard.call(index)
            call.id, call.name = text(block.get("id")), text(block.get("name"))
            if block.get("input"):
                call.arguments.append(json.dumps(block["input"], default=str, ensure_ascii=False))

    def _delta(self, index: object, delta: dict[str, object]) -> None:
        if delta.get("type") == "text_delta":
            self._heard.texts.append(text(delta.get("text")))
        if delta.get("type") == "input_json_delta" and isinstance(index, int):
            self._heard.call(index).arguments.append(text(delta.get("partial_json")))

    def _stopped(self, delta: dict[str, object]) -> None:
        if isinstance(delta.get("stop_reason"), str):
            self._heard.finish = _FINISH.get(text(delta["stop_reason"]))

    def _used(self, usage: dict[str, object], *, final: bool) -> None:
        """`final`: the output's count is more than what the beginning guessed."""
        self._usage.update({key: value for key, value in usage.items() if value is not None})
        self._output_final = self._output_final or final
        plain = count(self._usage.get("input_tokens"))
        written = count(self._usage.get("cache_creation_input_tokens"))
        cached = count(self._usage.get("cache_read_input_tokens"))
        self._heard.usage = TokenUsage(
            tokens_in=None if plain is None else plain + (written or 0) + (cached or 0),
            tokens_out=count(self._usage.get("output_tokens")) if self._output_final else None,
            tokens_cached=cached,
            tokens_cache_written=written,
            billed_usd=money(self._usage.get("cost")),
        )
