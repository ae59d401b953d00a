"""The SDKs that coding agents are made with, as clients of a provider of their own format."""

from typing import Any

import anthropic
import openai
import pytest

from tests.adapters.gateway.test_passed_on import COMPLETION, DONE, LAST_USAGE, chunk
from tests.support.fake_anthropic import events, message, text, tool_use
from tests.support.gateways import Served
from tests.support.raw_upstream import Pieces, RawUpstream
from tests.support.sdk_clients import ANTHROPIC_TOOLS, anthropic_client, openai_client


async def test_openai_chat_as_a_client(serving: Served, upstream: RawUpstream) -> None:
    told = b"".join((
        chunk({"role": "assistant"}), chunk({"content": "he"}), chunk({"content": "llo"}), chunk({}, "stop"),
        LAST_USAGE, DONE,
    ))  # fmt: skip
    upstream.answer = lambda got: Pieces.dripped(told) if got.body.get("stream") else Pieces.json(COMPLETION)
    async with serving.access("openai:gpt-5") as access, openai_client(access) as client:
        whole = await client.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "hi"}])
        assert whole.choices[0].message.content == "hello" and whole.usage is not None
        stream = await client.chat.completions.create(
            model="gpt-5", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        pieces = [piece async for piece in stream]
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "hello"
        assert all(piece.usage is None for piece in pieces)
        assert [model.id async for model in client.models.list()] == ["gpt-5", "millwright"]
    assert serving.steps("tokens_in", "tokens_out") == [(100, 20)] * 2


async def test_anthropic_as_a_client(serving: Served, upstream: RawUpstream) -> None:
    answer = message(text("hello"), tool_use("t1", "bash", {"command": "ls"}))
    upstream.answer = lambda got: (
        Pieces.json({"input_tokens": 9})
        if "count" in got.path
        else Pieces.dripped(events(answer))
        if got.body.get("stream")
        else Pieces.json(answer)
    )
    asked: dict[str, Any] = {
        "model": "claude-x",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": ANTHROPIC_TOOLS,
    }
    async with serving.access("anthropic:claude-x") as access, anthropic_client(access) as client:
        whole = await client.messages.create(**asked)
        async with client.messages.stream(**asked) as stream:
            final = await stream.get_final_message()
        counted = await client.messages.count_tokens(model="claude-x", messages=asked["messages"])
        assert [model.id async for model in client.models.list()] == ["claude-x", "millwright"]
    assert [block.type for block in whole.content] == [block.type for block in final.content] == ["text", "tool_use"]
    assert final.usage.output_tokens == 7 and counted.input_tokens == 9
    assert serving.steps("tokens_in", "tokens_out") == [(100, 7), (100, 7), (None, None)]


async def test_refusals_are_exceptions_of_the_sdks(serving: Served, upstream: RawUpstream) -> None:
    upstream.answer = lambda _: Pieces([chunk({"content": "half"})], cut=True)
    async with serving.access("openai:gpt-5") as access, openai_client(access, retries=2) as client:
        hello: list[Any] = [{"role": "user", "content": "hi"}]
        with pytest.raises(openai.PermissionDeniedError, match="gpt-9"):
            await client.chat.completions.create(model="gpt-9", messages=hello)
        with pytest.raises(openai.APIError, match=r"broke off|cut the connection"):
            async for _ in await client.chat.completions.create(model="gpt-5", messages=hello, stream=True):
                pass
        async with anthropic_client(access) as other:
            with pytest.raises(anthropic.PermissionDeniedError, match="claude-9"):
                await other.messages.create(model="claude-9", max_tokens=5, messages=[{"role": "user", "content": "x"}])
    async with openai_client(access) as late, anthropic_client(access) as later:
        with pytest.raises(openai.AuthenticationError):
            await late.chat.completions.create(model="gpt-5", messages=hello)
        with pytest.raises(anthropic.AuthenticationError):
            await later.messages.create(model="x", max_tokens=5, messages=[{"role": "user", "content": "x"}])
