"""Clients whose provider speaks another format, scripted ones among them: text and tools, the rest refused by name."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import yaml

from adapters.providers.translated_call import TranslatedCall
from domain.gateway.wire import WireFormat, WireRequest, WireResponse
from domain.models.messages import Message, ModelReply, ModelRequest, Speaker, TokenUsage
from domain.models.policy import ProviderKind, ProviderSettings
from tests.adapters.gateway.test_passed_on import COMPLETION
from tests.support.databases import Database
from tests.support.fake_anthropic import fake_anthropic, message, text, tool_use
from tests.support.fake_endpoint import Answer
from tests.support.gateways import KEY, Served, anthropic_at, served
from tests.support.model_calls import PlantedRedactor
from tests.support.raw_upstream import Pieces, RawUpstream
from tests.support.sdk_clients import (
    ANTHROPIC_TOOLS,
    CHAT_TOOLS,
    RESPONSES_TOOLS,
    TOOL,
    anthropic_client,
    openai_client,
)

SCRIPT = {
    "usage": {"tokens_in": 1000, "tokens_out": 100, "tokens_cached": 10},
    "replies": [
        {
            "role": "coder",
            "turns": [
                {"text": "let me look", "tool_calls": [{"name": "bash", "id": "t1", "arguments": {"command": "ls"}}]},
                {"tool_calls": [{"name": "bash", "id": "t2", "raw": '{"comm'}], "finish": "length"},
                {"text": "done", "usage": {}},
                {"error": {"kind": "overloaded", "message": "try later", "retry_after_seconds": 3}},
            ],
        }
    ],
}


@pytest.fixture
async def scripted(module_database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(SCRIPT))
    provider = ProviderSettings(name="scripted", kind=ProviderKind.SCRIPTED)
    async with served(module_database, provider, scripts=tmp_path) as made:
        yield made


@pytest.mark.parametrize("stream", [False, True])
async def test_an_openai_client_goes_through_a_scripted_conversation(scripted: Served, stream: bool) -> None:
    """Tools, a call that was cut off, an end, an error; the turn is where the conversation stands."""
    asked: dict[str, Any] = {"model": "demo", "tools": CHAT_TOOLS}
    said: list[Any] = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "mend it"}]
    async with scripted.access("scripted:demo") as access, openai_client(access) as client:

        async def ask() -> dict[str, Any]:
            if not stream:
                whole = await client.chat.completions.create(messages=said, **asked)
                return {**whole.choices[0].message.model_dump(), "finish": whole.choices[0].finish_reason}
            parts = client.chat.completions.stream(messages=said, **asked)
            async with parts as opened:
                async for _ in opened:
                    pass
                found = opened.current_completion_snapshot.choices[0]
            return {**found.message.model_dump(), "finish": found.finish_reason}

        first = await ask()
        call = first["tool_calls"][0]
        assert (first["content"], call["id"], call["function"]["name"], first["finish"]) == (
            "let me look", "t1", "bash", "tool_calls",
        )  # fmt: skip
        assert json.loads(call["function"]["arguments"]) == {"command": "ls"}
        mine = {"id": "t1", "type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
        said += [{"role": "assistant", "content": "let me look", "tool_calls": [mine]}]
        said += [{"role": "tool", "tool_call_id": "t1", "content": "README"}]
        if not stream:  # the SDK's own stream helper refuses what was cut off
            second = await ask()
            assert second["tool_calls"][0]["function"]["arguments"] == '{"comm' and second["finish"] == "length"
        said += [{"role": "assistant", "content": "cut"}, {"role": "user", "content": "again"}]
        third = await ask()
        assert (third["content"], third["tool_calls"], third["finish"]) == ("done", None, "stop")
        said += [{"role": "assistant", "content": "done"}, {"role": "user", "content": "more"}]
        with pytest.raises(openai.InternalServerError) as busy:
            await ask()
        assert busy.value.status_code == 503 and busy.value.response.headers["retry-after"] == "3"
    counted = scripted.steps("status", "tokens_in", "model_answered")
    assert counted[0] == ("done", 1000, "demo") and counted[-1] == ("failed", None, None)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_anthropic_client_goes_through_a_scripted_conversation(scripted: Served, stream: bool) -> None:
    asked: dict[str, Any] = {"model": "demo", "max_tokens": 500, "tools": ANTHROPIC_TOOLS, "system": "be brief"}
    said: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "mend it"}]}]
    async with scripted.access("scripted:demo") as access, anthropic_client(access) as client:

        async def ask() -> Any:
            if not stream:
                return await client.messages.create(messages=said, **asked)
            async with client.messages.stream(messages=said, **asked) as opened:
                return await opened.get_final_message()

        first = await ask()
        assert [block.type for block in first.content] == ["text", "tool_use"]
        assert (first.content[1].id, first.content[1].input) == ("t1", {"command": "ls"})
        assert (first.stop_reason, first.model) == ("tool_use", "demo")
        assert (first.usage.input_tokens, first.usage.cache_read_input_tokens, first.usage.output_tokens) == (
            990, 10, 100,
        )  # fmt: skip
        said += [{"role": "assistant", "content": [block.model_dump(include={"type", "text", "id", "name", "input"})
                                                   for block in first.content]}]  # fmt: skip
        said += [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "README"}]}]
        if stream:
            raw = await client.messages.create(messages=said, stream=True, **asked)
            pieces = [event async for event in raw]
            assert '{"comm' in str(pieces) and "max_tokens" in str(pieces)
        else:
            with pytest.raises(anthropic.InternalServerError, match="no JSON object"):
                await ask()
        said += [{"role": "assistant", "content": "cut"}, {"role": "user", "content": "again"}]
        third = await ask()
        assert (third.content[0].text, third.stop_reason) == ("done", "end_turn")
        said += [{"role": "assistant", "content": "done"}, {"role": "user", "content": "more"}]
        with pytest.raises(anthropic.APIStatusError) as busy:
            await ask()
        assert busy.value.status_code == 529 and busy.value.response.headers["retry-after"] == "3"
        estimate = await client.messages.count_tokens(model="demo", messages=said)
        assert 20 < estimate.input_tokens < 500


@pytest.mark.parametrize("stream", [False, True])
async def test_a_responses_client_goes_through_a_scripted_conversation(scripted: Served, stream: bool) -> None:
    """As Codex asks: instructions, items of calls and their outputs, nothing stored."""
    asked: dict[str, Any] = {
        "model": "demo",
        "instructions": "be brief",
        "tools": RESPONSES_TOOLS,
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "k",
    }
    said: list[Any] = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "mend it"}]}]
    async with scripted.access("scripted:demo") as access, openai_client(access) as client:

        async def ask() -> Any:
            if not stream:
                return await client.responses.create(input=said, **asked)
            async with client.responses.stream(input=said, **asked) as opened:
                return await opened.get_final_response()

        first = await ask()
        assert (first.status, first.output_text) == ("completed", "let me look")
        call = first.output[1]
        assert (call.type, call.call_id, call.name, json.loads(call.arguments)) == (
            "function_call", "t1", "bash", {"command": "ls"},
        )  # fmt: skip
        assert (first.usage.input_tokens, first.usage.input_tokens_details.cached_tokens) == (1000, 10)
        said += [{"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "x"}]
        said += [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "let me look"}]}]
        said += [{"type": "function_call", "call_id": "t1", "name": "bash", "arguments": call.arguments}]
        said += [{"type": "function_call_output", "call_id": "t1", "output": "README"}]
        if not stream:
            second = await ask()
            assert second.status == "incomplete" and second.output[0].arguments == '{"comm'
        said += [{"role": "assistant", "content": "cut"}, {"role": "user", "content": "again"}]
        third = await ask()
        assert (third.output_text, third.status) == ("done", "completed")
        said += [{"role": "assistant", "content": "done"}, {"role": "user", "content": "more"}]
        with pytest.raises(openai.InternalServerError, match="try later"):
            await ask()
    assert {status for status, *_ in scripted.steps("status")} == {"done", "failed"}


async def test_an_anthropic_client_with_an_openai_provider(serving: Served, upstream: RawUpstream) -> None:
    function = {"name": "bash", "arguments": '{"command": "ls"}'}
    said = {
        "role": "assistant",
        "content": "looking",
        "tool_calls": [{"id": "t1", "type": "function", "function": function}],
    }
    choice = {"index": 0, "finish_reason": "tool_calls", "message": said}
    upstream.answer = lambda _: Pieces.json(COMPLETION | {"choices": [choice]})
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    used = {"type": "tool_use", "id": "t0", "name": "bash", "input": {"command": "pwd"}}
    result = {"type": "tool_result", "tool_use_id": "t0", "content": "/", "is_error": True}
    earlier: list[Any] = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [thought, used]},
        {"role": "user", "content": [result, {"type": "text", "text": "go on"}]},
    ]
    async with serving.access("openai:gpt-5") as access, anthropic_client(access) as client:
        answer = await client.messages.create(
            model="gpt-5", max_tokens=64, system="be brief", messages=earlier, tools=ANTHROPIC_TOOLS,
            thinking={"type": "enabled", "budget_tokens": 1024},
        )  # fmt: skip
    assert [block.type for block in answer.content] == ["text", "tool_use"] and answer.stop_reason == "tool_use"
    sent = upstream.received[0]
    assert sent.path == "/v1/chat/completions"
    roles = [(m["role"], m.get("tool_calls", [{}])[0].get("id"), m.get("tool_call_id")) for m in sent.body["messages"]]
    assert roles == [
        ("system", None, None),
        ("user", None, None),
        ("assistant", "t0", None),
        ("tool", None, "t0"),
        ("user", None, None),
    ]
    assert sent.body["tools"][0]["function"]["parameters"] == TOOL
    assert serving.steps("status", "tokens_in", "tokens_out") == [("done", 100, 20)]


async def test_an_openai_client_with_an_anthropic_provider(module_database: Database, tmp_path: Path) -> None:
    async with fake_anthropic() as fake:
        fake.by_path["/v1/messages"] = Answer.of(message(text("looking"), tool_use("t1", "bash", {"command": "ls"})))
        async with (
            served(module_database, anthropic_at(fake.base_url), scripts=tmp_path) as serving,
            serving.access("anthropic:claude-x") as access,
            openai_client(access) as client,
        ):
            chat = await client.chat.completions.create(
                model="claude-x", messages=[{"role": "user", "content": "hi"}], tools=CHAT_TOOLS
            )
            response = await client.responses.create(model="claude-x", input="hi", tools=RESPONSES_TOOLS)
    assert chat.choices[0].message.tool_calls is not None and chat.choices[0].finish_reason == "tool_calls"
    assert response.output_text == "looking" and response.output[1].type == "function_call"
    assert [sent.body["tools"][0]["name"] for sent in fake.sent] == ["bash", "bash"]
    assert serving.steps("status", "tokens_in", "tokens_out", "tokens_cached") == [("done", 100, 7, 20)] * 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_that_the_provider_says_reaches_no_client(
    serving: Served, upstream: RawUpstream, stream: bool
) -> None:
    said = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"it is {KEY}"}}
    upstream.answer = lambda _: Pieces.json(COMPLETION | {"choices": [said]})
    async with serving.access("openai:gpt-5") as access, anthropic_client(access) as client:
        hello: list[Any] = [{"role": "user", "content": "hi"}]
        answer: Any = await client.messages.create(model="gpt-5", max_tokens=64, messages=hello, stream=stream)
        told = str([event async for event in answer]) if stream else answer.content[0].text
    assert "it is [redacted]" in told and KEY not in told


async def test_what_cannot_be_translated_is_refused_by_name(serving: Served, upstream: RawUpstream) -> None:
    image: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    async with serving.access("anthropic:claude-x") as access, openai_client(access) as client:

        async def refused(call: Callable[[], Any]) -> str:
            with pytest.raises(openai.BadRequestError) as error:
                await call()
            return str(error.value)

        hello: list[Any] = [{"role": "user", "content": "hi"}]
        create = client.chat.completions.create
        assert "`messages[0].content[0] of type image_url`" in await refused(
            lambda: create(model="claude-x", messages=[{"role": "user", "content": [image]}])
        )
        told = await refused(lambda: create(model="claude-x", messages=hello, stop=["x"], logprobs=True, n=2))
        assert all(f"`{name}`" in told for name in ("stop", "logprobs", "n"))
        respond = client.responses.create
        search: Any = [{"type": "web_search"}]
        assert "`tools[0] of type web_search`" in await refused(
            lambda: respond(model="claude-x", input="hi", tools=search)
        )
        assert "`previous_response_id`" in await refused(
            lambda: respond(model="claude-x", input="hi", previous_response_id="r1")
        )
        assert "no messages" in await refused(lambda: create(model="claude-x", messages=[]))
    async with serving.access("openai:gpt-5") as access, anthropic_client(access) as other:
        with pytest.raises(anthropic.BadRequestError, match=r"tools.0. of type bash_20250124"):
            await other.messages.create(
                model="gpt-5", max_tokens=5, messages=hello, tools=[{"type": "bash_20250124", "name": "bash"}]
            )
        with pytest.raises(anthropic.BadRequestError, match="stop_sequences"):
            await other.messages.create(model="gpt-5", max_tokens=5, messages=hello, stop_sequences=["x"])
    assert upstream.received == []
    assert {tuple(row) for row in serving.steps("status", "error->>'kind'", "cost_usd::int")} == {
        ("failed", "invalid_request", 0)
    }


class _Late:
    """A provider that takes its time."""

    def __init__(self, fails: bool) -> None:
        self._fails = fails

    async def call(self, request: ModelRequest, settings: ProviderSettings) -> ModelReply:
        await asyncio.sleep(0.5)
        if self._fails:
            raise AssertionError("late")
        return ModelReply(text="late", usage=TokenUsage(tokens_in=1, tokens_out=1))


class _Kept:
    """WireAnswer that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    async def begin(self, status: int, headers: tuple[tuple[str, str], ...]) -> None:
        self.told.append(status)

    async def send(self, data: bytes) -> None:
        self.told.append(data)

    def hold(self, data: bytes) -> None:
        self.told.append(data)

    def hold_whole(self, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        self.told.append((status, body))

    def failed(self, failure: WireResponse) -> None:
        raise AssertionError(failure)

    def told_failure(self) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("format", "mark"), [(WireFormat.ANTHROPIC_MESSAGES, b"event: ping"), (WireFormat.OPENAI_CHAT, b": still there")]
)
async def test_a_client_hears_that_a_translated_answer_is_still_awaited(format: WireFormat, mark: bytes) -> None:
    body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
    asked = WireRequest(format=format, body=body, model="m", stream=True)
    settings = ProviderSettings(name="scripted", kind=ProviderKind.SCRIPTED)
    request = ModelRequest(model="m", role="coder", messages=(Message(speaker=Speaker.USER, text=""),))

    def call(kept: _Kept, fails: bool, seconds: float) -> TranslatedCall:
        providers = {ProviderKind.SCRIPTED: _Late(fails)}
        return TranslatedCall(asked, kept, providers=providers, redactor=PlantedRedactor(), still_there_seconds=seconds)

    kept = _Kept()
    await call(kept, False, 0.05).call(request, settings)
    begun, ping, *_, held = kept.told
    assert begun == 200 and isinstance(ping, bytes) and mark in ping and b"late" in bytes(str(held), "utf-8")
    quick = _Kept()
    await call(quick, False, 20).call(request, settings)
    assert len(quick.told) == 1, "an answer in time is told with its status"
    with pytest.raises(AssertionError, match="late"):
        await call(_Kept(), True, 0.05).call(request, settings)
