"""The Anthropic adapter and a fake messages API on a real socket: what goes out, what comes back, what breaks."""

import json
import socket
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import anthropic
import pytest

from adapters.providers.prices import GenaiPrices
from adapters.providers.registry import open_providers
from adapters.providers.wire_errors import FOREIGN
from domain.errors import NotFound
from domain.models.messages import (
    CallRefused,
    Finish,
    Message,
    ModelReply,
    ModelRequest,
    Speaker,
    TokenUsage,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from domain.models.policy import ProviderKind, ProviderSettings
from domain.models.ports import ModelProvider
from domain.models.prices import cost_of
from domain.runs.failure import ErrorKind
from tests.support.fake_anthropic import USAGE, failure, fake_anthropic, message, text, tool_use
from tests.support.fake_endpoint import Answer, Endpoint
from tests.support.model_calls import PLANTED

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TOOLS = (
    ToolSpec(name="read_file", description="Reads a file.", parameters=SCHEMA),
    ToolSpec(name="finish", description="Ends.", parameters={"type": "object", "properties": {}}),
)
TALK = (
    Message(speaker=Speaker.SYSTEM, text="be brief"),
    Message(speaker=Speaker.USER, text="mend it"),
    Message(
        speaker=Speaker.ASSISTANT,
        text="I look.",
        tool_calls=(
            ToolCall(id="t1", name="read_file", arguments='{"path": "a.py"}'),
            ToolCall(id="t2", name="read_file", arguments='{"path": "a'),
        ),
    ),
    Message(
        speaker=Speaker.USER,
        text="hint: look at b.py",
        tool_results=(
            ToolResult(call_id="t1", name="read_file", text="x = 1"),
            ToolResult(call_id="t2", name="read_file", text="no JSON", is_error=True),
        ),
    ),
)
REQUEST = ModelRequest(
    model="claude-sonnet-4-6",
    messages=(
        Message(speaker=Speaker.SYSTEM, text="be brief"),
        Message(speaker=Speaker.USER, text="hi"),
        Message(speaker=Speaker.ASSISTANT, text="yes?"),
        Message(speaker=Speaker.USER, text="go on"),
    ),
    role="coder",
    turn=3,
    max_output_tokens=50,
    timeout_seconds=5,
    seed=7,
)


class _Secrets:
    def resolve(self, reference: str) -> str:
        if reference == "env:THERE":
            return PLANTED
        raise NotFound(f"There is no value behind `{reference}`.", hint="Set it.")


@pytest.fixture
async def fake() -> AsyncIterator[Endpoint]:
    async with fake_anthropic() as fake:
        yield fake


@pytest.fixture
async def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelProvider]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with open_providers(scripts=tmp_path, secrets=_Secrets()) as providers:
        yield providers[ProviderKind.ANTHROPIC]


def _settings(base_url: str | None, credential: str | None = "env:THERE") -> ProviderSettings:
    return ProviderSettings(name="claude", kind=ProviderKind.ANTHROPIC, base_url=base_url, credential=credential)


async def _call(provider: ModelProvider, fake: Endpoint, **more: object) -> ModelReply:
    return await provider.call(REQUEST.model_copy(update=more), _settings(fake.base_url))


async def _refused(provider: ModelProvider, fake: Endpoint, **more: object) -> CallRefused:
    with pytest.raises(CallRefused) as refused:
        await _call(provider, fake, **more)
    found = refused.value
    assert found.__cause__ is None and found.__context__ is None, "a library's exception holds the request"
    assert PLANTED not in repr(found.error)
    assert found.error.message and found.error.hint
    return found


async def test_the_request_is_the_wire_format_and_nothing_of_the_environment(
    provider: ModelProvider, fake: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE"):
        monkeypatch.setenv(name, "from-the-environment")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "anthropic-beta: from-the-environment")
    await _call(provider, fake, model="claude-sonnet-4-6-fresh")
    sent = fake.sent[0]
    assert sent.path.partition("?")[0] == "/v1/messages"
    assert (sent.body["model"], sent.body["max_tokens"]) == ("claude-sonnet-4-6-fresh", 50)
    assert "be brief" in json.dumps(sent.body["system"])
    assert [m["role"] for m in sent.body["messages"]] == ["user", "assistant", "user"]
    assert not sent.body.get("stream") and "tools" not in sent.body and "cache_control" not in json.dumps(sent.body)
    assert (sent.headers["x-api-key"], sent.headers["anthropic-version"]) == (PLANTED, "2023-06-01")
    assert "authorization" not in sent.headers and "from-the-environment" not in json.dumps(sent.headers)
    assert not [name for name in sent.headers if name.startswith("x-stainless")]


async def test_an_address_with_or_without_v1_is_the_same_and_no_credential_sends_none(
    provider: ModelProvider, fake: Endpoint
) -> None:
    for url in (fake.base_url, f"{fake.base_url}/", f"{fake.base_url}/v1", f"{fake.base_url}/v1/"):
        await provider.call(REQUEST, _settings(url, credential=None))
    assert {sent.path.partition("?")[0] for sent in fake.sent} == {"/v1/messages"}
    assert not [sent for sent in fake.sent if {"x-api-key", "authorization"} & set(sent.headers)]


async def test_the_reply_says_text_model_id_finish_and_all_that_went_in(
    provider: ModelProvider, fake: Endpoint
) -> None:
    assert await _call(provider, fake) == ModelReply(
        text="hello",
        usage=TokenUsage(tokens_in=100, tokens_out=7, tokens_cached=20, tokens_cache_written=30),
        model_answered="claude-answering-1",
        provider_response_id="msg_1",
        finish=Finish.STOP,
    )


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, TokenUsage()),
        ({"input_tokens": 5, "output_tokens": 0}, TokenUsage(tokens_in=5, tokens_out=0)),
        ({"output_tokens": 2, "cache_read_input_tokens": 3}, TokenUsage(tokens_out=2, tokens_cached=3)),
        (
            USAGE | {"cache_read_input_tokens": None, "input_tokens": "many"},
            TokenUsage(tokens_out=7, tokens_cache_written=30),
        ),
    ],
)
async def test_unknown_usage_is_none(
    provider: ModelProvider, fake: Endpoint, usage: dict[str, object] | None, expected: TokenUsage
) -> None:
    fake.answer = Answer.of({name: value for name, value in message(usage=usage).items() if value is not None})
    assert (await _call(provider, fake)).usage == expected


def test_what_is_read_from_the_cache_costs_less_and_what_is_written_more() -> None:
    def cost(url: str | None, **usage: int) -> Decimal | None:
        counted = TokenUsage(tokens_in=1_000, tokens_out=0, **usage)
        found = cost_of(GenaiPrices(), _settings(url), ("claude-sonnet-4-6",), counted, policy_version=1)
        return None if found is None else found.usd

    plain = cost(None)
    assert plain is not None and plain == cost("https://api.anthropic.com/v1")
    assert cost(None, tokens_cached=1_000) == plain / 10
    assert cost(None, tokens_cache_written=1_000) == plain * Decimal("1.25")
    assert cost("http://127.0.0.1:1") is None, "another server's bill is not Anthropic's"


async def test_tools_calls_and_results_go_out_in_the_wire_format(provider: ModelProvider, fake: Endpoint) -> None:
    await _call(provider, fake, messages=TALK, tools=TOOLS)
    body = fake.sent[0].body
    assert [(tool["name"], tool["description"], tool["input_schema"]) for tool in body["tools"]] == [
        (tool.name, tool.description, tool.parameters) for tool in TOOLS
    ]
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user"]
    said, results = body["messages"][1]["content"], body["messages"][2]["content"]
    assert [block["type"] for block in said] == ["text", "tool_use", "tool_use"]
    assert [(block["id"], block["input"]) for block in said[1:]] == [
        ("t1", {"path": "a.py"}),
        ("t2", {"INVALID_JSON": '{"path": "a'}),
    ]
    assert [block["type"] for block in results] == ["tool_result", "tool_result", "text"]
    assert [(block["tool_use_id"], bool(block["is_error"])) for block in results[:2]] == [("t1", False), ("t2", True)]
    assert "no JSON" in json.dumps(results[1]) and "hint: look at b.py" in json.dumps(results[2])
    assert "cache_control" in json.dumps(body), "the next turn repeats this conversation"


async def test_a_result_without_text_is_said_to_be_empty(provider: ModelProvider, fake: Endpoint) -> None:
    silent = (ToolResult(call_id="t1", name="read_file", text=""), ToolResult(call_id="t2", name="x", text="ok"))
    talk = (*TALK[:3], TALK[3].model_copy(update={"text": "", "tool_results": silent}))
    await _call(provider, fake, messages=talk, tools=TOOLS)
    blocks = fake.sent[0].body["messages"][2]["content"]
    assert [block["content"][0]["text"] for block in blocks] == ["(empty)", "ok"], "an empty text block is refused"


async def test_parallel_tool_calls_come_in_as_text(provider: ModelProvider, fake: Endpoint) -> None:
    fake.answer = Answer.of(
        message(text("I look."), tool_use("t1", "read_file", {"path": "ä"}), tool_use("t2", "finish", {}))
    )
    reply = await _call(provider, fake, tools=TOOLS)
    assert (reply.text, reply.finish) == ("I look.", Finish.TOOL_CALLS)
    assert reply.tool_calls == (
        ToolCall(id="t1", name="read_file", arguments='{"path": "ä"}'),
        ToolCall(id="t2", name="finish", arguments="{}"),
    )


async def test_a_truncated_turn_says_so(provider: ModelProvider, fake: Endpoint) -> None:
    fake.answer = Answer.of(message(tool_use("t1", "read_file", {}), stop_reason="max_tokens"))
    reply = await _call(provider, fake, tools=TOOLS)
    assert (reply.finish, len(reply.tool_calls)) == (Finish.LENGTH, 1)


async def test_an_empty_turn_goes_to_the_one_who_offered_tools(provider: ModelProvider, fake: Endpoint) -> None:
    fake.answer = Answer.of(message() | {"content": []})
    reply = await _call(provider, fake, tools=TOOLS)
    assert (reply.text, reply.tool_calls, reply.usage.tokens_out) == ("", (), 7)
    assert (await _refused(provider, fake)).error.kind is ErrorKind.MALFORMED_RESPONSE


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "claude-3-9-unlisted", "no-known-model"])
async def test_a_schema_of_the_answer_reaches_every_model(provider: ModelProvider, fake: Endpoint, model: str) -> None:
    await _call(provider, fake, model=model, json_schema=SCHEMA)
    assert "path" in json.dumps(fake.sent[0].body)


async def test_a_refusal_keeps_the_usage_that_was_paid(provider: ModelProvider, fake: Endpoint) -> None:
    fake.answer = Answer.of(message(text("no"), stop_reason="refusal"))
    refused = await _refused(provider, fake)
    assert refused.error.kind is ErrorKind.CONTENT_FILTERED
    assert refused.reply is not None and refused.reply.usage.tokens_in == 100


@pytest.mark.parametrize(
    ("kind", "words", "status", "expected"),
    [
        ("invalid_request_error", "max_tokens: wrong", 400, ErrorKind.INVALID_REQUEST),
        ("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", 400, ErrorKind.CONTEXT_LENGTH),
        ("invalid_request_error", "Your credit balance is too low", 400, ErrorKind.QUOTA_EXHAUSTED),
        ("authentication_error", "invalid x-api-key", 401, ErrorKind.AUTHENTICATION),
        ("billing_error", "no", 402, ErrorKind.QUOTA_EXHAUSTED),
        ("permission_error", "no", 403, ErrorKind.PERMISSION),
        ("not_found_error", "model: claude-9", 404, ErrorKind.NOT_FOUND),
        ("request_too_large", "too large", 413, ErrorKind.CONTEXT_LENGTH),
        ("rate_limit_error", "slow down", 429, ErrorKind.RATE_LIMITED),
        ("api_error", "internal", 500, ErrorKind.SERVER_ERROR),
        ("timeout_error", "late", 504, ErrorKind.TIMEOUT),
        ("overloaded_error", "busy", 529, ErrorKind.OVERLOADED),
    ],
)
async def test_errors_get_the_kind_of_the_table_and_are_asked_once(
    provider: ModelProvider, fake: Endpoint, kind: str, words: str, status: int, expected: ErrorKind
) -> None:
    fake.answer = failure(kind, words, status, retry_after="7")
    refused = await _refused(provider, fake)
    assert (refused.error.kind, refused.maybe_billed) == (expected, False)
    assert words in refused.error.message and refused.error.retry_after_seconds == 7.0
    assert len(fake.sent) == 1, "retries belong to Temporal"


async def test_an_error_inside_a_200_is_an_error(provider: ModelProvider, fake: Endpoint) -> None:
    fake.answer = failure("overloaded_error", "busy", 200)
    refused = await _refused(provider, fake)
    assert (refused.error.kind, refused.maybe_billed) == (ErrorKind.OVERLOADED, True)


@pytest.mark.parametrize(
    ("answer", "kind", "billed"),
    [
        (Answer(b"not json"), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer(b"not json", headers={"content-type": "text/html"}), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer(b'{"id": "x", "cont'), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer(b""), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer.of({}), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer.of([1, 2]), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer.of(message() | {"content": None}), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer.of(message() | {"content": [{"type": "hologram"}]}), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer.of(message(tool_use("t", "x", "text"))), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer.of({"choices": [{"message": {"content": "another format"}}]}), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer(b'{"a": ' * 100_000), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer(says_length=10_000), ErrorKind.CONNECTION, True),
        (Answer(cut_after=20), ErrorKind.CONNECTION, True),
        (Answer(cut_after=-1), ErrorKind.CONNECTION, True),
        (Answer.of({}, 302, location="http://elsewhere.example/"), ErrorKind.INVALID_REQUEST, False),
    ],
)
async def test_what_is_broken_has_a_kind(
    provider: ModelProvider, fake: Endpoint, answer: Answer, kind: ErrorKind, billed: bool
) -> None:
    fake.answer = answer
    refused = await _refused(provider, fake)
    assert (refused.error.kind, refused.maybe_billed) == (kind, billed), refused.error
    assert len(fake.sent) == 1


async def test_silence_is_a_timeout_and_nobody_there_is_not_billed(provider: ModelProvider, fake: Endpoint) -> None:
    fake.answer = Answer(delay_seconds=30)
    refused = await _refused(provider, fake, timeout_seconds=0.3)
    assert (refused.error.kind, refused.maybe_billed) == (ErrorKind.TIMEOUT, True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    refused = await _refused(provider, Endpoint(base_url=f"http://127.0.0.1:{port}"))
    assert (refused.error.kind, refused.maybe_billed) == (ErrorKind.CONNECTION, False)


async def test_a_missing_credential_names_the_reference_and_sends_nothing(
    provider: ModelProvider, fake: Endpoint
) -> None:
    with pytest.raises(CallRefused) as refused:
        await provider.call(REQUEST, _settings(fake.base_url, "env:MISSING"))
    assert refused.value.error.kind is ErrorKind.MISSING_CREDENTIAL
    assert "env:MISSING" in refused.value.error.message and fake.sent == []


def test_what_the_sdk_raises_is_foreign() -> None:
    raised = [kind for kind in vars(anthropic).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert anthropic.APIStatusError in raised
    assert all(issubclass(kind, FOREIGN) for kind in raised if not issubclass(kind, Warning))
