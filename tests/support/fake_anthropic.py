"""Anthropic's messages API on a real socket: whole answers and event streams, built from one message."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.fake_endpoint import Answer, Endpoint, endpoint

USAGE: dict[str, object] = {
    "input_tokens": 50,
    "cache_creation_input_tokens": 30,
    "cache_read_input_tokens": 20,
    "output_tokens": 7,
}
"""Anthropic's `input_tokens` leave out both cache counts: 100 tokens went in."""


def text(words: str) -> dict[str, object]:
    return {"type": "text", "text": words}


def tool_use(id: str, name: str, arguments: object) -> dict[str, object]:
    return {"type": "tool_use", "id": id, "name": name, "input": arguments}


def message(*content: dict[str, object], stop_reason: str | None = None, **more: object) -> dict[str, object]:
    """An answer of `content` blocks (by default the text `hello`)."""
    blocks = content or (text("hello"),)
    ended = stop_reason or ("tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn")
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-answering-1",
        "content": list(blocks),
        "stop_reason": ended,
        "stop_sequence": None,
        "usage": USAGE,
    } | more


def failure(kind: str, words: str, status: int, **headers: str) -> Answer:
    """An error as Anthropic answers it."""
    body = {"type": "error", "error": {"type": kind, "message": words}, "request_id": "req_1"}
    return Answer.of(body, status, request_id="req_1", **headers)


def events(whole: dict[str, object]) -> bytes:
    """The event stream of a message, texts and arguments in two pieces each."""
    usage = whole["usage"]
    assert isinstance(usage, dict) and isinstance(whole["content"], list)
    start = whole | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    told: list[dict[str, object]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(whole["content"]):
        told += _block(index, block)
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    told.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage["output_tokens"]}})
    told.append({"type": "message_stop"})
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in told)


def _block(index: int, block: dict[str, object]) -> list[dict[str, object]]:
    is_tool = block["type"] == "tool_use"
    whole = json.dumps(block["input"]) if is_tool else str(block["text"])
    kind, field = ("input_json_delta", "partial_json") if is_tool else ("text_delta", "text")
    empty: dict[str, object] = {"input": {}} if is_tool else {"text": ""}
    middle = len(whole) // 2
    return [
        {"type": "content_block_start", "index": index, "content_block": block | empty},
        *(
            {"type": "content_block_delta", "index": index, "delta": {"type": kind, field: piece}}
            for piece in (whole[:middle], whole[middle:])
            if piece
        ),
        {"type": "content_block_stop", "index": index},
    ]


def streamed(whole: dict[str, object], *, pause: float = 0.0, cut_after: int | None = None) -> Answer:
    """The message as an event stream, event by event; the connection breaks after `cut_after` bytes."""
    return Answer(events(whole), event_seconds=pause, cut_after=cut_after)


@asynccontextmanager
async def fake_anthropic() -> AsyncIterator[Endpoint]:
    """`base_url` is the address without `/v1`. Answers `message()` on /v1/messages; set `answer` for another one."""
    async with endpoint() as fake:
        fake.base_url = fake.base_url.removesuffix("/v1")
        fake.answer = Answer.of(message())
        fake.by_path["/v1/messages/count_tokens"] = Answer.of({"input_tokens": 42})
        fake.by_path["/v1/models"] = Answer.of(
            {
                "data": [{"type": "model", "id": "claude-answering-1", "display_name": "Claude"}],
                "has_more": False,
                "first_id": "claude-answering-1",
                "last_id": "claude-answering-1",
            }
        )
        yield fake
