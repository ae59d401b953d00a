"""Our reply -> OpenAI's responses, whole or as a stream. A stream ends in `response.completed` or `.incomplete`."""

import json
import time
from collections.abc import Mapping
from uuid import uuid4

from adapters.gateway.sse import event
from domain.models.messages import Finish, ModelReply, TokenUsage


def whole_responses(reply: ModelReply, asked: Mapping[str, object]) -> bytes:
    return json.dumps(_response(reply, asked, _items(reply))).encode()


def streamed_responses(reply: ModelReply, asked: Mapping[str, object]) -> bytes:
    items = _items(reply)
    done = _response(reply, asked, items)
    begun = done | {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    events: list[dict[str, object]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(items):
        events.extend(_message(index, item) if item["type"] == "message" else _call(index, item))
    events.append({"type": f"response.{done['status']}", "response": done})
    return b"".join(
        event(json.dumps(told | {"sequence_number": number}), str(told["type"])) for number, told in enumerate(events)
    )


def _items(reply: ModelReply) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    if reply.text or not reply.tool_calls:
        part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        found.append({"type": "message", "role": "assistant", "content": [part]})
    found.extend(
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}
        for call in reply.tool_calls
    )
    names = {"message": "msg", "function_call": "fc"}
    return [item | {"id": f"{names[str(item['type'])]}_{uuid4().hex}", "status": "completed"} for item in found]


def _response(reply: ModelReply, asked: Mapping[str, object], items: list[dict[str, object]]) -> dict[str, object]:
    cut = reply.finish is Finish.LENGTH
    return {
        "id": reply.provider_response_id or f"resp_{uuid4().hex}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": asked.get("instructions"),
        "metadata": asked.get("metadata") or {},
        "model": reply.model_answered or asked.get("model"),
        "output": items,
        "parallel_tool_calls": True,
        "tool_choice": asked.get("tool_choice") or "auto",
        "tools": asked.get("tools") or [],
        "usage": _usage(reply.usage),
    }


def _message(index: int, item: dict[str, object]) -> list[dict[str, object]]:
    content = item["content"]
    assert isinstance(content, list)
    part = content[0]
    at: dict[str, object] = {"output_index": index, "item_id": item["id"], "content_index": 0}
    told: list[dict[str, object]] = [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": item | {"content": [], "status": "in_progress"},
        },
        {"type": "response.content_part.added", "part": part | {"text": ""}} | at,
    ]
    if part["text"]:
        told.append({"type": "response.output_text.delta", "delta": part["text"], "logprobs": []} | at)
    return [
        *told,
        {"type": "response.output_text.done", "text": part["text"], "logprobs": []} | at,
        {"type": "response.content_part.done", "part": part} | at,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _call(index: int, item: dict[str, object]) -> list[dict[str, object]]:
    at: dict[str, object] = {"output_index": index, "item_id": item["id"]}
    name, arguments = item["name"], item["arguments"]
    return [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": item | {"arguments": "", "status": "in_progress"},
        },
        {"type": "response.function_call_arguments.delta", "delta": arguments} | at,
        {"type": "response.function_call_arguments.done", "name": name, "arguments": arguments} | at,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _usage(usage: TokenUsage) -> dict[str, object] | None:
    if usage.tokens_in is None or usage.tokens_out is None:
        return None
    return {
        "input_tokens": usage.tokens_in,
        "input_tokens_details": {"cached_tokens": usage.tokens_cached or 0},
        "output_tokens": usage.tokens_out,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.tokens_in + usage.tokens_out,
    }
