"""A script behind a real socket: the same answers over the whole wire path, by headers and by the model's name."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk

from adapters.providers.registry import open_providers
from adapters.providers.scripted import ScriptedProvider
from domain.models.messages import CallRefused, Message, ModelReply, ModelRequest, Speaker, TokenUsage, ToolSpec
from domain.models.policy import ProviderKind, ProviderSettings
from domain.models.ports import ModelProvider
from domain.runs.failure import ErrorKind

ROOT = Path(__file__).resolve().parents[3]
SERVED = (
    ErrorKind.RATE_LIMITED,
    ErrorKind.QUOTA_EXHAUSTED,
    ErrorKind.AUTHENTICATION,
    ErrorKind.PERMISSION,
    ErrorKind.NOT_FOUND,
    ErrorKind.CONTENT_FILTERED,
    ErrorKind.CONTEXT_LENGTH,
    ErrorKind.INVALID_REQUEST,
    ErrorKind.OVERLOADED,
    ErrorKind.SERVER_ERROR,
    ErrorKind.TIMEOUT,
    ErrorKind.CONNECTION,
    ErrorKind.MALFORMED_RESPONSE,
)
TURNS: list[dict[str, Any]] = [
    {"tool_calls": [{"name": "read_file", "arguments": {"path": "a.py"}}, {"name": "list_files"}]},
    {
        "text": "I write. " * 9,
        "tool_calls": [{"name": "write_file", "raw": '{"path": "a.py", "te'}],
        "finish": "length",
    },
    {
        "tool_calls": [{"name": "run", "raw": "not json"}],
        "usage": {"tokens_in": 5, "tokens_out": 3, "tokens_cached": 1},
    },
]
"""Parallel, truncated and malformed tool calls."""
SCRIPT = {
    "replies": [
        {"role": "coder", "turn": 1, "text": "one"},
        {"role": "coder", "turn": 2, "files": {"a": "b"}},
        {
            "role": "planner",
            "text": "plan",
            "usage": {"tokens_in": 9, "tokens_out": 4, "tokens_cached": 1, "billed_usd": "0.5"},
        },
        {"role": "agent", "turns": TURNS},
        {
            "role": "agent",
            "iteration": 2,
            "turn": 1,
            "tool_calls": [{"name": "finish", "arguments": {"text": "ü" * 40}}],
        },
        *({"role": kind.value, "error": {"kind": kind.value, "retry_after_seconds": 3}} for kind in SERVED),
    ]
}


class _NoSecrets:
    def resolve(self, reference: str) -> str:
        raise AssertionError("no credential is needed")


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "served.yaml").write_text(json.dumps(SCRIPT))
    command = [sys.executable, "-m", "adapters.providers.scripted_server", "--port", "0", "--scripts", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["base_url"]
        finally:
            server.terminate()


@pytest.fixture
async def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelProvider]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with open_providers(scripts=tmp_path, secrets=_NoSecrets()) as providers:
        yield providers[ProviderKind.OPENAI_COMPATIBLE]


async def _call(provider: ModelProvider, base_url: str, role: str, turn: int = 1, iteration: int = 1) -> ModelReply:
    request = ModelRequest(
        model="served",
        messages=(Message(speaker=Speaker.USER, text="go"),),
        role=role,
        turn=turn,
        iteration=iteration,
        timeout_seconds=20,
        tools=(ToolSpec(name="finish", description="Ends.", parameters={"type": "object", "properties": {}}),),
    )
    settings = ProviderSettings(name="wire", kind=ProviderKind.OPENAI_COMPATIBLE, base_url=base_url)
    return await provider.call(request, settings)


async def test_role_and_turn_travel_in_headers(provider: ModelProvider, base_url: str) -> None:
    assert (await _call(provider, base_url, "coder", 2)).text == '{"files": {"a": "b"}}'
    assert (await _call(provider, base_url, "coder", 1)).text == "one"
    planned = await _call(provider, base_url, "planner")
    assert planned.model_answered == "served" and planned.provider_response_id
    assert planned.usage == TokenUsage(tokens_in=9, tokens_out=4, tokens_cached=1, billed_usd=Decimal("0.5"))
    assert (await _call(provider, base_url, "coder", 1)).usage == TokenUsage()


async def test_the_turns_of_an_agent_are_the_same_over_the_wire(
    provider: ModelProvider, base_url: str, tmp_path: Path
) -> None:
    (tmp_path / "served.yaml").write_text(json.dumps(SCRIPT))
    direct = ScriptedProvider(tmp_path)
    for turn, iteration in ((1, 1), (2, 1), (3, 1), (1, 2)):
        wired = await _call(provider, base_url, "agent", turn, iteration)
        asked = ModelRequest(model="served", messages=(), role="agent", turn=turn, iteration=iteration)
        expected = await direct.call(asked, ProviderSettings(name="s", kind=ProviderKind.SCRIPTED))
        assert expected.tool_calls
        assert wired.model_copy(update={"provider_response_id": None}) == expected


async def test_a_stream_of_chunks_says_the_same_as_the_whole_answer(base_url: str) -> None:
    async with httpx2.AsyncClient(trust_env=False) as http:
        client = AsyncOpenAI(base_url=base_url, api_key="none", http_client=http, max_retries=0)
        for turn, expected in enumerate(TURNS, 1):
            chunks = await client.chat.completions.create(
                model="served",
                messages=[{"role": "user", "content": "go"}],
                stream=True,
                stream_options={"include_usage": True},
                extra_headers={"x-millwright-role": "agent", "x-millwright-turn": str(turn)},
            )
            seen = await _gathered(chunks)
            assert seen.text == expected.get("text", "")
            wanted = [
                (f"call_1_{turn}_{place}", call["name"], call.get("raw") or json.dumps(call.get("arguments", {})))
                for place, call in enumerate(expected["tool_calls"], 1)
            ]
            assert [tuple(call) for call in seen.calls] == wanted
            assert seen.finish == expected.get("finish", "tool_calls")
            assert seen.prompt_tokens == (5 if "usage" in expected else None)
            assert seen.pieces > 3, "in pieces, not at once"


@dataclass
class _Gathered:
    text: str = ""
    calls: list[list[str]] = field(default_factory=list)
    finish: str | None = None
    prompt_tokens: int | None = None
    pieces: int = 0


async def _gathered(chunks: AsyncIterator[ChatCompletionChunk]) -> _Gathered:
    seen = _Gathered()
    async for chunk in chunks:
        seen.pieces += 1
        if chunk.usage is not None:
            seen.prompt_tokens = chunk.usage.prompt_tokens
        for choice in chunk.choices:
            seen.finish = choice.finish_reason or seen.finish
            seen.text += choice.delta.content or ""
            for part in choice.delta.tool_calls or []:
                assert part.function is not None
                if part.id:
                    assert part.index == len(seen.calls)
                    seen.calls.append([part.id, part.function.name or "", ""])
                seen.calls[part.index][2] += part.function.arguments or ""
    return seen


@pytest.mark.parametrize("kind", ["connection", "malformed_response", "rate_limited"])
async def test_a_stream_breaks_as_the_script_says(base_url: str, kind: str) -> None:
    async with httpx2.AsyncClient(trust_env=False) as http:
        body = {"model": f"served@{kind}", "messages": [], "stream": True}
        if kind == "connection":
            with pytest.raises(httpx2.RemoteProtocolError):
                await http.post(f"{base_url}/chat/completions", json=body)
            return
        answer = await http.post(f"{base_url}/chat/completions", json=body)
        assert answer.status_code == (429 if kind == "rate_limited" else 200)
        assert answer.headers["content-type"].startswith("text/event-stream") == (kind != "rate_limited")
        assert "[DONE]" not in answer.text


@pytest.mark.parametrize("kind", SERVED)
async def test_every_kind_of_failure_survives_the_wire(provider: ModelProvider, base_url: str, kind: ErrorKind) -> None:
    with pytest.raises(CallRefused) as refused:
        await _call(provider, base_url, kind.value)
    assert refused.value.error.kind is kind
    whole = kind not in (ErrorKind.CONNECTION, ErrorKind.MALFORMED_RESPONSE)
    assert refused.value.error.retry_after_seconds == (3.0 if whole else None)


async def test_other_clients_name_the_role_in_the_model(base_url: str) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        answers = []
        for _ in range(2):
            body = {"model": "served@coder", "messages": [{"role": "user", "content": "go"}]}
            answer = await client.post(f"{base_url}/chat/completions", json=body)
            answers.append(answer.json()["choices"][0]["message"]["content"])
        assert answers == ["one", '{"files": {"a": "b"}}'], "turns are counted where no header says them"
        listed = (await client.get(f"{base_url}/models")).json()
        assert [model["id"] for model in listed["data"]] == ["served"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"[]", "no JSON object"),
        (b"{", "Expecting property name"),
        (b'{"model": "nosuch@coder"}', "There is no script `nosuch`"),
    ],
)
async def test_bad_requests_are_named(base_url: str, body: bytes, says: str) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{base_url}/chat/completions", content=body)
    assert answer.status_code in (400, 404) and says in answer.json()["error"]["message"]


def test_an_unknown_script_ends_the_server_at_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "adapters.providers.scripted_server", "--script", "nosuch", "--scripts", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "There is no script `nosuch`" in done.stderr
