"""Meter of OpenAI's responses: the last event carries the whole response."""

from adapters.gateway.metering import Heard
from adapters.gateway.reading import count, items, money, name, obj, parsed, text
from adapters.gateway.sse import Event
from domain.models.messages import Finish, ModelReply, TokenUsage

_LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})


class ResponsesMeter:
    def __init__(self) -> None:
        self._heard = Heard()
        self.ended = False
        self.error: dict[str, object] | None = None

    @property
    def complete(self) -> bool:
        return self.ended

    def event(self, event: Event) -> None:
        told = parsed(event.data)
        kind = text(told.get("type")) or event.name
        if kind == "error":
            self.error = {"error": told.get("error") or told}
            self.ended = True
        elif kind == "response.output_text.delta":
            self._heard.texts.append(text(told.get("delta")))
        elif kind == "response.output_item.done":
            self._item(obj(told.get("item")), with_text=False)
        elif kind == "response.created" or kind in _LAST:
            self._response(obj(told.get("response")), spoken=bool("".join(self._heard.texts)))
            self.ended = kind in _LAST

    def whole(self, body: bytes) -> None:
        self._response(parsed(body), spoken=False)

    def reply(self) -> ModelReply:
        return self._heard.reply()

    def _response(self, response: dict[str, object], *, spoken: bool) -> None:
        """`spoken`: its text has come already."""
        heard = self._heard
        heard.model = name(response.get("model")) or heard.model
        heard.response_id = name(response.get("id")) or heard.response_id
        if isinstance(response.get("usage"), dict):
            heard.usage = _usage(obj(response["usage"]))
        for item in items(response.get("output")):
            self._item(obj(item), with_text=not spoken)
        if response.get("error"):
            self.error = {"error": response["error"]}
        if response.get("status") == "incomplete":
            heard.finish = Finish.LENGTH
        elif response.get("status") == "completed":
            heard.finish = Finish.TOOL_CALLS if heard.calls else Finish.STOP

    def _item(self, item: dict[str, object], *, with_text: bool) -> None:
        if item.get("type") == "message" and with_text:
            self._heard.texts.extend(text(obj(part).get("text")) for part in items(item.get("content")))
        known = {call.id for call in self._heard.calls.values()}
        if item.get("type") == "function_call" and item.get("call_id") not in known:
            call = self._heard.call(len(self._heard.calls))
            call.id, call.name = text(item.get("call_id")), text(item.get("name"))
            call.arguments.append(text(item.get("arguments")))


def _usage(usage: dict[str, object]) -> TokenUsage:
    return TokenUsage(
        tokens_in=count(usage.get("input_tokens")),
        tokens_out=count(usage.get("output_tokens")),
        tokens_cached=count(obj(usage.get("input_tokens_details")).get("cached_tokens")),
        billed_usd=money(usage.get("cost")),
    )
