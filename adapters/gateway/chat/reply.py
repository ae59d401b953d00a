"""Our reply -> OpenAI's chat completions, whole or as a stream."""

import json
import time
from collections.abc import Mapping
from uuid import uuid4

from adapters.gateway.reading import obj
from adapters.gateway.sse import event
from domain.models.messages import Finish, ModelReply, TokenUsage

_FINISH = {Finish.LENGTH: "length", Finish.TOOL_CALLS: "tool_calls"}


def whole_chat(reply: ModelReply, asked: Mapping[str, object]) -> bytes:
    message: dict[str, object] = {"role": "assistant", "content": reply.text or None}
    if reply.tool_calls:
        message["tool_calls"] = _calls(reply)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
    found = _head(reply, asked, "chat.completion") | {"choices": [choice]}
    usage = _usage(reply.usage)
    return json.dumps(found if usage is None else found | {"usage": usage}).encode()


def streamed_chat(reply: ModelReply, asked: Mapping[str, object]) -> bytes:
    head = _head(reply, asked, "chat.completion.chunk")

    def chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
        return event(json.dumps(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))

    parts = [chunk({"role": "assistant", "content": ""})]
    if reply.text:
        parts.append(chunk({"content": reply.text}))
    parts.extend(chunk({"tool_calls": [call]}) for call in _calls(reply))
    parts.append(chunk({}, _finish(reply)))
    usage = _usage(reply.usage)
    if usage is not None and obj(asked.get("stream_options")).get("include_usage"):
        parts.append(event(json.dumps(head | {"choices": [], "usage": usage})))
    return b"".join((*parts, event("[DONE]")))


def _head(reply: ModelReply, asked: Mapping[str, object], kind: str) -> dict[str, object]:
    return {
        "id": reply.provider_response_id or f"chatcmpl-{uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": reply.model_answered or asked.get("model"),
    }


def _calls(reply: ModelReply) -> list[dict[str, object]]:
    return [
        {
            "index": index,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for index, call in enumerate(reply.tool_calls)
    ]


def _finish(reply: ModelReply) -> str:
    return _FINISH.get(reply.finish or Finish.STOP) or ("tool_calls" if reply.tool_calls else "stop")


def _usage(usage: TokenUsage) -> dict[str, object] | None:
    """None: the provider did not say; there is no way to write unknown numbers in this format."""
    if usage.tokens_in is None or usage.tokens_out is None:
        return None
    return {
        "prompt_tokens": usage.tokens_in,
        "completion_tokens": usage.tokens_out,
        "total_tokens": usage.tokens_in + usage.tokens_out,
        "prompt_tokens_details": {"cached_tokens": usage.tokens_cached or 0},
    }
