"""Calls of the same format go through unchanged but for credential and model, and are steps with usage and cost."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal

import httpx
import pytest

from domain.gateway.ports import GatewayAccess
from tests.support.fake_anthropic import events, message, tool_use
from tests.support.gateways import KEY, Served
from tests.support.raw_upstream import Pieces, RawUpstream, Received
from tests.support.waiting import until

USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "answering",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": USAGE,
}
COST = Decimal("0.0004")
"""100 tokens in for $2 a million, 20 out for $10."""


def chunk(delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "answering"}
    told = head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more
    return b"data: " + json.dumps(told).encode() + b"\n\n"


LAST_USAGE = b"data: " + json.dumps({"id": "c1", "choices": [], "usage": USAGE}).encode() + b"\n\n"
DONE = b"data: [DONE]\n\n"


def bearer(access: GatewayAccess) -> dict[str, str]:
    return {"authorization": f"Bearer {access.token}"}


async def test_a_request_is_the_clients_own_bytes_but_for_model_and_key(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    upstream.answer = lambda _: Pieces.json(COMPLETION, x_request_id="r1", set_cookie="a=b", openai_organization="acme")
    sent = b'{ "messages" : [{"role":"user","content":"\xc3\xbc \\u00fc <model>"}],\n  "model":"millwright", "x":1.50 }'
    headers = {
        "x-stainless-lang": "python",
        "user-agent": "aider/1",
        "cookie": "c=d",
        "openai-organization": "theirs",
        "connection": "keep-alive, x-mine",
        "x-mine": "1",
        "proxy-authorization": "Basic eDp5",
        "content-type": "application/json; charset=utf-8",
    }
    async with serving.access("openai:gpt-5") as access:
        answer = await http.post(
            f"{access.base_url_openai}/chat/completions?a=b&c=%20d", content=sent, headers=headers | bearer(access)
        )
    assert answer.status_code == 200, answer.text
    assert answer.content == json.dumps(COMPLETION).encode()
    received = upstream.received[0]
    assert received.raw == sent.replace(b'"millwright"', b'"gpt-5"')
    assert received.path == "/v1/chat/completions?a=b&c=%20d"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert {name: received.headers.get(name) for name in ("x-stainless-lang", "user-agent", "content-type")} == {
        "x-stainless-lang": "python",
        "user-agent": "aider/1",
        "content-type": "application/json; charset=utf-8",
    }
    gone = {"cookie", "openai-organization", "connection", "x-mine", "proxy-authorization"}
    assert not gone & set(received.headers) and access.token not in str(received.headers)
    assert answer.headers["x-request-id"] == "r1"
    assert not {"set-cookie", "openai-organization", "server"} & set(answer.headers)


async def test_a_call_is_one_step_of_its_execution_with_usage_and_cost(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    upstream.answer = lambda _: Pieces.json(COMPLETION)
    grant = serving.grant("openai:gpt-5")
    async with serving.gateway.granted(grant) as access:
        for _ in range(2):
            body = {"model": "gpt-5", "messages": []}
            await http.post(f"{access.base_url_openai}/chat/completions", json=body, headers=bearer(access))
        use = serving.gateway.use(access.token)
    assert serving.steps(
        "key", "kind", "status", "execution_id", "model_asked", "model_answered", "tokens_in", "tokens_out", "cost_usd",
        "convert_from(reply_body, 'UTF8')",
    ) == [
        (f"gateway#{grant.execution_id.hex[:12]}#{n}", "model_call", "done", grant.execution_id, "openai:gpt-5",
         "answering", 100, 20, COST, "hello")
        for n in (1, 2)
    ]  # fmt: skip
    assert (use.calls, use.in_flight, use.tokens_in, use.tokens_out, use.cost_usd) == (2, 0, 200, 40, 2 * COST)
    assert use.model_answered == "answering" and use.trouble is None and use.api_seconds > 0
    assert len(serving.calling.metrics.calls) == 2


@pytest.mark.parametrize("asked", [True, False])
async def test_a_stream_is_what_the_client_asked_for_byte_by_byte(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient, asked: bool
) -> None:
    """The provider is asked for usage in any case; a client that did not ask sees what it would have seen."""
    unknown = b'event: from-the-future\ndata: {"type": "never seen", "usage": 7}\n\n: a comment\n\n'
    text = 'ein Ü und "usage": null'
    with_usage = b"".join((
        chunk({"role": "assistant", "content": ""}, usage=None), unknown, chunk({"content": text}, usage=None),
        chunk({}, "stop", usage=None), LAST_USAGE, DONE,
    ))  # fmt: skip
    without = b"".join((
        chunk({"role": "assistant", "content": ""}), unknown, chunk({"content": text}), chunk({}, "stop"), DONE,
    ))  # fmt: skip
    upstream.answer = lambda _: Pieces.dripped(with_usage)
    body: dict[str, object] = {"model": "gpt-5", "messages": [], "stream": True}
    if asked:
        body["stream_options"] = {"include_usage": True}
    async with serving.access("openai:gpt-5") as access:
        answer = await http.post(f"{access.base_url_openai}/chat/completions", json=body, headers=bearer(access))
    assert answer.content == (with_usage if asked else without)
    assert upstream.received[0].body["stream_options"] == {"include_usage": True}
    assert serving.steps("status", "tokens_in", "tokens_out", "cost_usd", "convert_from(reply_body, 'UTF8')") == [
        ("done", 100, 20, COST, text)
    ]


async def test_what_comes_goes_out_at_once_and_the_end_when_it_is_in_the_record(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    gate = asyncio.Event()
    upstream.answer = lambda _: Pieces([chunk({"content": "first"}), chunk({}, "stop") + LAST_USAGE + DONE], gate=gate)
    body = {"model": "gpt-5", "messages": [], "stream": True}
    seen: list[bytes] = []

    async def read(pieces: AsyncIterator[bytes]) -> None:
        async for piece in pieces:
            seen.append(piece)

    async with (
        serving.access("openai:gpt-5") as access,
        http.stream("POST", f"{access.base_url_openai}/chat/completions", json=body, headers=bearer(access)) as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream"
        reading = asyncio.ensure_future(read(answer.aiter_bytes()))
        await until(lambda: b"first" in b"".join(seen))
        with serving.steps_locked():
            gate.set()
            await until(lambda: upstream.pieces == 2)
            await asyncio.sleep(0.5)
            assert not reading.done() and b"[DONE]" not in b"".join(seen)
        await reading
        assert b"".join(seen).endswith(DONE) and serving.steps("status") == [("done",)]


async def test_anthropic_streams_pass_with_tools_and_the_parts_of_their_input(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    told = events(message({"type": "text", "text": "let me see"}, tool_use("t1", "bash", {"command": "ls"})))
    told = told.replace(b"event: ping", b'event: brand_new\ndata: {"type": "brand_new"}\n\nevent: ping', 1)
    upstream.answer = lambda _: Pieces.dripped(told)
    sent = b'{"model":"millwright","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"hi"}]}'
    headers = {"anthropic-version": "2099-01-01", "anthropic-beta": "a-1,b-2", "content-type": "application/json"}
    async with serving.access("anthropic:claude-x") as access:
        answer = await http.post(
            f"{access.base_url_anthropic}/v1/messages?beta=true",
            content=sent,
            headers=headers | {"x-api-key": access.token},
        )
    assert answer.content == told
    received = upstream.received[0]
    assert (received.path, received.raw) == ("/v1/messages?beta=true", sent.replace(b"millwright", b"claude-x"))
    assert received.headers["x-api-key"] == KEY and "authorization" not in received.headers
    assert (received.headers["anthropic-version"], received.headers["anthropic-beta"]) == ("2099-01-01", "a-1,b-2")
    assert serving.steps("tokens_in", "tokens_out", "tokens_cached", "model_answered") == [
        (100, 7, 20, "claude-answering-1")
    ]
    recorded = json.loads(serving.steps("convert_from(reply_body, 'UTF8')")[0][0])
    assert recorded["text"] == "let me see"
    assert [(call["name"], json.loads(call["arguments"])) for call in recorded["tool_calls"]] == [
        ("bash", {"command": "ls"})
    ]


async def test_responses_pass_and_are_counted(serving: Served, upstream: RawUpstream, http: httpx.AsyncClient) -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "shell", "arguments": '{"command": ["ls"]}', "id": "f1"}
    usage = {"input_tokens": 100, "output_tokens": 20, "input_tokens_details": {"cached_tokens": 5}}
    done = {"id": "r1", "model": "answering", "status": "completed", "output": [call], "usage": usage}
    told: list[dict[str, object]] = [
        {"type": "response.created", "response": {"id": "r1", "status": "in_progress"}},
        {"type": "response.output_text.delta", "delta": "look"},
        {"type": "response.output_item.done", "item": call},
        {"type": "response.completed", "response": done},
    ]
    body = b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in told)
    upstream.answer = lambda got: Pieces.dripped(body) if got.body.get("stream") else Pieces.json(done)
    async with serving.access("openai:gpt-5") as access:
        url = f"{access.base_url_openai}/responses"
        streamed = await http.post(url, json={"model": "gpt-5", "input": "x", "stream": True}, headers=bearer(access))
        whole = await http.post(url, json={"model": "gpt-5", "input": "x"}, headers=bearer(access))
        compact = await http.post(f"{url}/compact", json={"model": "gpt-5", "input": []}, headers=bearer(access))
    assert streamed.content == body and whole.json() == done == compact.json()
    assert [received.path for received in upstream.received] == ["/v1/responses"] * 2 + ["/v1/responses/compact"]
    assert serving.steps("tokens_in", "tokens_out", "tokens_cached", "cost_usd") == [(100, 20, 5, COST)] * 3


async def test_a_cut_stream_has_an_unknown_cost_and_the_client_is_told(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    upstream.answer = lambda _: Pieces([chunk({"content": "half an ans"})], cut=True)
    async with serving.access("openai:gpt-5") as access:
        body = {"model": "gpt-5", "messages": [], "stream": True}
        answer = await http.post(f"{access.base_url_openai}/chat/completions", json=body, headers=bearer(access))
        use = serving.gateway.use(access.token)
    *_, last = answer.content.strip().split(b"\n\n")
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "upstream_connection"
    assert b"[DONE]" not in answer.content
    assert serving.steps("status", "error->>'kind'", "cost_usd", "tokens_out") == [("failed", "connection", None, None)]
    assert use.cost_usd is None and use.trouble is not None and use.trouble.kind.value == "connection"


async def test_a_clean_end_before_the_last_event_is_a_cut_too(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    told = events(message({"type": "text", "text": "hello"}))
    upstream.answer = lambda _: Pieces([told[: told.index(b"event: message_delta")]])
    async with serving.access("anthropic:claude-x") as access:
        body = {"model": "claude-x", "messages": [], "max_tokens": 5, "stream": True}
        answer = await http.post(f"{access.base_url_anthropic}/v1/messages", json=body, headers=bearer(access))
    assert answer.content.endswith(b"\n\n") and b"event: error\n" in answer.content
    assert serving.steps("status", "error->>'kind'", "cost_usd", "tokens_in", "tokens_out") == [
        ("failed", "connection", None, 100, None)
    ]


async def test_an_error_inside_of_a_stream_passes_as_it_is(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    start = events(message()).split(b"\n\n")[0] + b"\n\n"
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n'
    upstream.answer = lambda _: Pieces([start, error])
    async with serving.access("anthropic:claude-x") as access:
        body = {"model": "claude-x", "messages": [], "max_tokens": 5, "stream": True}
        answer = await http.post(f"{access.base_url_anthropic}/v1/messages", json=body, headers=bearer(access))
    assert answer.content == start + error
    assert serving.steps("status", "error->>'kind'", "cost_usd") == [("failed", "overloaded", None)]


async def test_a_providers_refusal_comes_back_with_its_status_and_retry_header(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    error = {"error": {"message": f"slow down, {KEY}", "type": "requests", "code": "rate_limit_exceeded"}}
    upstream.answer = lambda _: Pieces.json(error, 429, retry_after="7", x_ratelimit_limit_requests="3")
    async with serving.access("openai:gpt-5") as access:
        body = {"model": "gpt-5", "messages": [], "stream": True}
        answer = await http.post(f"{access.base_url_openai}/chat/completions", json=body, headers=bearer(access))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.headers["x-ratelimit-limit-requests"] == "3"
    assert answer.json()["error"]["code"] == "rate_limit_exceeded" and KEY not in answer.text
    assert serving.steps("status", "error->>'kind'", "cost_usd", "error->>'retry_after_seconds'") == [
        ("failed", "rate_limited", Decimal(0), "7.0")
    ]
    assert KEY not in str(serving.steps("error::text"))


async def test_a_client_that_goes_cancels_its_call(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    gate = asyncio.Event()
    upstream.answer = lambda _: Pieces([chunk({"content": "first"}), DONE], gate=gate)
    async with serving.access("openai:gpt-5") as access:
        body = {"model": "gpt-5", "messages": [], "stream": True}
        url = f"{access.base_url_openai}/chat/completions"
        async with http.stream("POST", url, json=body, headers=bearer(access)) as answer:
            await anext(answer.aiter_bytes())
        await until(lambda: serving.steps("status") != [("running",)])
        assert serving.steps("status", "error->>'kind'", "cost_usd") == [("failed", "cancelled", None)]
        assert serving.gateway.use(access.token).in_flight == 0


async def test_the_providers_key_is_in_no_answer_even_when_the_provider_says_it(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    told = chunk({"content": f"your key is {KEY}!"}) + chunk({}, "stop") + LAST_USAGE + DONE
    upstream.answer = lambda got: (
        Pieces.dripped(told) if got.body.get("stream") else Pieces.json(COMPLETION | {"echo": KEY}, x_echo=KEY)
    )
    async with serving.access("openai:gpt-5") as access:
        url = f"{access.base_url_openai}/chat/completions"
        body = {"model": "gpt-5", "messages": []}
        streamed = await http.post(url, json=body | {"stream": True}, headers=bearer(access))
        whole = await http.post(url, json=body, headers=bearer(access))
    assert KEY not in streamed.text + whole.text + str(whole.headers)
    assert "your key is [redacted]!" in streamed.text and streamed.content.endswith(DONE)
    assert KEY not in str(serving.steps("convert_from(reply_body, 'UTF8')"))


async def test_tokens_are_counted_by_the_provider_and_cost_nothing(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    upstream.answer = lambda _: Pieces.json({"input_tokens": 42})
    async with serving.access("anthropic:claude-x", max_calls=1) as access:
        body = {"model": "claude-x", "messages": [{"role": "user", "content": "hi"}]}
        url = f"{access.base_url_anthropic}/v1/messages/count_tokens?beta=true"
        answers = [await http.post(url, json=body, headers=bearer(access)) for _ in range(2)]
        assert serving.gateway.use(access.token).calls == 0
    assert [answer.json() for answer in answers] == [{"input_tokens": 42}] * 2
    assert upstream.received[0].path == "/v1/messages/count_tokens?beta=true"
    assert serving.steps("title", "status", "tokens_in", "cost_usd") == [("count tokens", "done", None, Decimal(0))] * 2


async def test_fifty_streams_at_the_same_time(serving: Served, upstream: RawUpstream) -> None:
    def answer(received: Received) -> Pieces:
        mine = received.body["messages"][0]["content"]
        told = [chunk({"content": f"{mine}-{n} "}) for n in range(20)]
        return Pieces([*told, chunk({}, "stop"), LAST_USAGE, DONE], pause=0.01)

    upstream.answer = answer
    limits = httpx.Limits(max_connections=50)
    async with serving.access("openai:gpt-5") as access, httpx.AsyncClient(timeout=60, limits=limits) as http:

        async def one(number: int) -> str:
            body = {"model": "gpt-5", "stream": True, "messages": [{"role": "user", "content": f"m{number}"}]}
            url = f"{access.base_url_openai}/chat/completions"
            text = (await http.post(url, json=body, headers=bearer(access))).text
            assert text.endswith("data: [DONE]\n\n")
            return text

        answers = await asyncio.gather(*(one(number) for number in range(50)))
        use = serving.gateway.use(access.token)
    for number, text in enumerate(answers):
        assert all(f"m{number}-{n} " in text for n in range(20)) and f"m{number + 1}-" not in text
    assert serving.steps("status", "cost_usd") == [("done", COST)] * 50
    assert (use.calls, use.cost_usd) == (50, 50 * COST)
