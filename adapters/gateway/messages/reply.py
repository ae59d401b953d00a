"""Our reply -> Anthropic's messages, whole or as a stream.

A stream carries a tool call's arguments as text, as they came; a whole answer has only JSON objects for them.
The format has no way to leave usage out: what the provider did not say is written as 0 to the client. The record
keeps it as unknown.
"""

import json
from collections.abc import Mapping
from uuid import uuid4

from adapters.gateway.sse import event
from domain.models.messages import CallRefused, Finish, ModelReply, TokenUsage, ToolCall
from domain.runs.failure import ErrorKind, PhaseError

_STOP = {Finish.LENGTH: "max_tokens", Finish.TOOL_CALLS: "tool_use"}


def whole_messages(reply: ModelReply, asked: Mapping[str, object]) -> bytes:
    blocks: list[dict[str, object]] = [{"type": "text", "text": reply.text}] if reply.text else []
    blocks.extend(
        {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call, reply)}
        for call in reply.tool_calls
    )
    message = _head(reply, asked) | {"content": blocks, "stop_reason": _stop(reply), "usage": _usage(reply.usage)}
    return json.dumps(message).encode()


def streamed_messages(reply: ModelReply, asked: Mapping[str, object]) -> bytes:
    usage = _usage(reply.usage)
    begun = _head(reply, asked) | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 0}}
    events: list[dict[str, object]] = [{"type": "message_start", "message": begun}]
    index = 0
    if reply.text:
        delta = {"type": "text_delta", "text": reply.text}
        events.extend(_block(index, {"type": "text", "text": ""}, delta))
        index += 1
    for call in reply.tool_calls:
        delta = {"type": "input_json_delta", "partial_json": call.arguments or "{}"}
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        events.extend(_block(index, block, delta))
        index += 1
    stopped = {"stop_reason": _stop(reply), "stop_sequence": None}
    events.append({"type": "message_delta", "delta": stopped, "usage": usage})
    events.append({"type": "message_stop"})
    return b"".join(event(json.dumps(told), str(told["type"])) for told in events)


def _head(reply: ModelReply, asked: Mapping[str, object]) -> dict[str, object]:
    return {
        "id": reply.provider_response_id or f"msg_{uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": reply.model_answered or asked.get("model"),
        "stop_sequence": None,
    }


def _block(index: int, block: Mapping[str, object], delta: Mapping[str, object]) -> list[dict[str, object]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        {"type": "content_block_delta", "index": index, "delta": delta},
        {"type": "content_block_stop", "index": index},
    ]


def _input(call: ToolCall, reply: ModelReply) -> dict[str, object]:
    """Raises CallRefused where the arguments are no JSON object: a whole answer has no other arguments."""
    try:
        found = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    raise CallRefused(
        PhaseError(
            kind=ErrorKind.MALFORMED_RESPONSE,
            message=f"The model called tool `{call.name}` with arguments that are no JSON object.",
            excerpt=call.arguments[:500],
            hint="It is asked again by the agent.",
        ),
        maybe_billed=True,
        reply=reply,
    )


def _stop(reply: ModelReply) -> str:
    return _STOP.get(reply.finish or Finish.STOP) or ("tool_use" if reply.tool_calls else "end_turn")


def _usage(usage: TokenUsage) -> dict[str, object]:
    cached, written = usage.tokens_cached or 0, usage.tokens_cache_written or 0
    return {
        "input_tokens": max(0, (usage.tokens_in or 0) - cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.tokens_out or 0,
    }
