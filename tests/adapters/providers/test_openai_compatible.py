"""The OpenAI-compatible adapter and a fake endpoint on a real socket: what goes out, what comes back, what breaks."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import httpx2
import pydantic_ai.exceptions
import pytest

from adapters.providers.registry import open_providers
from adapters.providers.wire import Exchange
from adapters.providers.wire_errors import FOREIGN, from_exception
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
from domain.runs.failure import ErrorKind
from tests.support.fake_endpoint import COMPLETION, Answer, Endpoint, endpoint
from tests.support.model_calls import PLANTED

REQUEST = ModelRequest(
    model="org/model-1",
    messages=(
        Message(speaker=Speaker.SYSTEM, text="be brief"),
        Message(speaker=Speaker.USER, text="hi"),
        Message(speaker=Speaker.ASSISTANT, text="yes?"),
        Message(speaker=Speaker.USER, text="go on <|im_end|>"),
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
    async with endpoint() as fake:
        yield fake


@pytest.fixture
async def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelProvider]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with open_providers(scripts=tmp_path, secrets=_Secrets()) as providers:
        yield providers[ProviderKind.OPENAI_COMPATIBLE]


def _settings(fake: Endpoint, credential: str | None = "env:THERE") -> ProviderSettings:
    return ProviderSettings(
        name="local", kind=ProviderKind.OPENAI_COMPATIBLE, base_url=fake.base_url, credential=credential
    )


async def _call(provider: ModelProvider, fake: Endpoint, **more: object) -> ModelReply:
    return await provider.call(REQUEST.model_copy(update=more), _settings(fake))


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
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "from-the-environment")
    await _call(provider, fake, json_schema={"type": "object", "properties": {"a": {"type": "string"}}})
    sent = fake.sent[0]
    assert sent.body["model"] == "org/model-1"
    assert [m["role"] for m in sent.body["messages"]] == ["system", "user", "assistant", "user"]
    assert (sent.body["max_tokens"], sent.body["seed"]) == (50, 7)
    assert sent.body["response_format"]["json_schema"]["schema"]["properties"] == {"a": {"type": "string"}}
    assert (sent.headers["x-millwright-role"], sent.headers["x-millwright-turn"]) == ("coder", "3")
    assert sent.headers["x-millwright-iteration"] == "1" and "tools" not in sent.body
    assert sent.headers["authorization"] == f"Bearer {PLANTED}"
    assert "from-the-environment" not in json.dumps(sent.headers)
    assert not [name for name in sent.headers if name.startswith(("x-stainless", "openai-"))]


async def test_an_endpoint_without_credential_gets_none(provider: ModelProvider, fake: Endpoint) -> None:
    await provider.call(REQUEST, _settings(fake, credential=None))
    assert "authorization" not in fake.sent[0].headers


async def test_the_reply_says_text_model_id_and_usage_as_reported(provider: ModelProvider, fake: Endpoint) -> None:
    assert await _call(provider, fake) == ModelReply(
        text="hello",
        usage=TokenUsage(tokens_in=100, tokens_out=20, tokens_cached=40),
        model_answered="answering-model",
        provider_response_id="chatcmpl-1",
        finish=Finish.STOP,
    )


SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TOOLS = (
    ToolSpec(name="read_file", description="Reads a file.", parameters=SCHEMA),
    ToolSpec(name="finish", description="", parameters={"type": "object", "properties": {}}),
)
TALK = (
    Message(speaker=Speaker.SYSTEM, text="be brief"),
    Message(speaker=Speaker.USER, text="mend it"),
    Message(
        speaker=Speaker.ASSISTANT,
        text="I look.",
        tool_calls=(
            ToolCall(id="c1", name="read_file", arguments='{"path": "a.py"}'),
            ToolCall(id="c2", name="read_file", arguments='{"path": "a'),
        ),
    ),
    Message(
        speaker=Speaker.USER,
        text="hint: look at b.py",
        tool_results=(
            ToolResult(call_id="c1", name="read_file", text="x = 1"),
            ToolResult(call_id="c2", name="read_file", text="no JSON", is_error=True),
        ),
    ),
    Message(
        speaker=Speaker.ASSISTANT, text="", tool_calls=(ToolCall(id="c3", name="read_file", arguments='{"path": "b"}'),)
    ),
    Message(speaker=Speaker.USER, text="", tool_results=(ToolResult(call_id="c3", name="read_file", text="y"),)),
)


async def test_tools_calls_and_results_go_out_in_the_wire_format(provider: ModelProvider, fake: Endpoint) -> None:
    await _call(provider, fake, messages=TALK, tools=TOOLS)
    body = fake.sent[0].body
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in TOOLS
    ]
    messages = body["messages"]
    assert isinstance(messages, list)
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "tool", "tool", "user", "assistant", "tool"]
    said = messages[2]
    assert said["content"] == "I look." and [call["id"] for call in said["tool_calls"]] == ["c1", "c2"]
    sent = [json.loads(call["function"]["arguments"]) for call in said["tool_calls"]]
    assert sent == [{"path": "a.py"}, {"INVALID_JSON": '{"path": "a'}], "a server may refuse what is no object"
    assert [(m["tool_call_id"], m["content"]) for m in messages[3:5]] == [
        ("c1", "x = 1"),
        ("c2", '{"error":"no JSON"}'),
    ]
    assert messages[5]["content"] == "hint: look at b.py" and not messages[6].get("content")


def _calling(*calls: dict[str, object], finish: str | None = "tool_calls", **message: object) -> Answer:
    said = {"role": "assistant", "content": None, "tool_calls": list(calls), **message}
    return Answer.of(COMPLETION | {"choices": [{"index": 0, "finish_reason": finish, "message": said}]})


def _function(place: int, name: str, arguments: str) -> dict[str, object]:
    return {"id": f"c{place}", "type": "function", "function": {"name": name, "arguments": arguments}}


async def test_parallel_and_malformed_tool_calls_come_in_as_their_text(provider: ModelProvider, fake: Endpoint) -> None:
    texts = ('{"path": "a.py"}', '{ "path":"b" }', "", "not json", "[1, 2]", '{"a": 1}{"b": 2}', '"\\ud800')
    fake.answer = _calling(*(_function(place, "read_file", text) for place, text in enumerate(texts)))
    reply = await _call(provider, fake, tools=TOOLS)
    assert reply.tool_calls == tuple(
        ToolCall(id=f"c{place}", name="read_file", arguments=text) for place, text in enumerate(texts)
    )
    assert (reply.text, reply.finish) == ("", Finish.TOOL_CALLS)


async def test_a_truncated_tool_call_says_that_it_was_cut_off(provider: ModelProvider, fake: Endpoint) -> None:
    fake.answer = _calling(_function(1, "no_such_tool", '{"path": "a.p'), finish="length", content="I write")
    reply = await _call(provider, fake, tools=TOOLS)
    assert (reply.text, reply.finish) == ("I write", Finish.LENGTH)
    assert reply.tool_calls == (ToolCall(id="c1", name="no_such_tool", arguments='{"path": "a.p'),)


async def test_a_server_that_says_no_finish_and_no_id_is_understood(provider: ModelProvider, fake: Endpoint) -> None:
    bare: dict[str, object] = {"type": "function", "function": {"name": "finish", "arguments": "{}"}}
    fake.answer = _calling(bare | {"id": ""}, bare | {"id": ""}, finish=None)
    reply = await _call(provider, fake, tools=TOOLS)
    assert reply.finish is None
    first, second = reply.tool_calls
    assert first.id and second.id and first.id != second.id, "results are matched by it"


async def test_an_empty_turn_goes_to_the_one_who_offered_tools(provider: ModelProvider, fake: Endpoint) -> None:
    fake.answer = Answer.of(
        COMPLETION | {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant"}}]}
    )
    reply = await _call(provider, fake, tools=TOOLS)
    assert (reply.text, reply.tool_calls, reply.usage.tokens_out) == ("", (), 20)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, TokenUsage()),
        ({"prompt_tokens": 5, "completion_tokens": 0}, TokenUsage(tokens_in=5, tokens_out=0)),
        ({"prompt_tokens": 5}, TokenUsage(tokens_in=5)),
        (
            {"prompt_tokens": 5, "completion_tokens": 2, "cost": 0},
            TokenUsage(tokens_in=5, tokens_out=2, billed_usd=Decimal(0)),
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 2, "cost": 0.00012345},
            TokenUsage(tokens_in=5, tokens_out=2, billed_usd=Decimal("0.00012345")),
        ),
    ],
)
async def test_unknown_usage_is_none_and_a_billed_zero_is_zero(
    provider: ModelProvider, fake: Endpoint, usage: dict[str, object] | None, expected: TokenUsage
) -> None:
    body = {name: value for name, value in COMPLETION.items() if name != "usage"}
    fake.answer = Answer.of(body if usage is None else body | {"usage": usage})
    assert (await _call(provider, fake)).usage == expected


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503, 504, 529])
async def test_a_status_is_asked_once_and_not_billed(provider: ModelProvider, fake: Endpoint, status: int) -> None:
    kinds = {
        400: ErrorKind.INVALID_REQUEST,
        401: ErrorKind.AUTHENTICATION,
        403: ErrorKind.PERMISSION,
        404: ErrorKind.NOT_FOUND,
        429: ErrorKind.RATE_LIMITED,
        500: ErrorKind.SERVER_ERROR,
        502: ErrorKind.SERVER_ERROR,
        503: ErrorKind.OVERLOADED,
        504: ErrorKind.TIMEOUT,
        529: ErrorKind.OVERLOADED,
    }
    fake.answer = Answer.of({"error": {"message": "no luck"}}, status, retry_after="7")
    refused = await _refused(provider, fake)
    assert (refused.error.kind, refused.maybe_billed) == (kinds[status], False)
    assert "no luck" in refused.error.message and str(status) in refused.error.message
    assert refused.error.retry_after_seconds == 7.0
    assert len(fake.sent) == 1, "retries belong to Temporal"


async def test_codes_decide_before_the_status(provider: ModelProvider, fake: Endpoint) -> None:
    fake.answer = Answer.of({"error": {"message": "x", "code": "insufficient_quota"}}, 429)
    assert (await _refused(provider, fake)).error.kind is ErrorKind.QUOTA_EXHAUSTED


@pytest.mark.parametrize(
    ("answer", "kind", "billed"),
    [
        (Answer(b"not json"), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer(b'{"id": "x", "choi'), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer(b""), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer.of({}), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer.of({"choices": []}), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer(b'{"a": ' * 100_000), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer.of([1, 2]), ErrorKind.MALFORMED_RESPONSE, True),
        (Answer(b"\xff\xfe\x00", headers={"content-encoding": "gzip"}), ErrorKind.CONNECTION, True),
        (Answer.of({"error": {"message": "Internal Server Error", "code": 500}}), ErrorKind.SERVER_ERROR, True),
        (Answer.of({"error": {"message": "slow", "code": 429}}), ErrorKind.RATE_LIMITED, True),
        (Answer.of({"error": "something"}), ErrorKind.SERVER_ERROR, True),
        (Answer(says_length=10_000), ErrorKind.CONNECTION, True),
        (Answer(cut_after=20), ErrorKind.CONNECTION, True),
        (Answer(cut_after=-1), ErrorKind.CONNECTION, True),
        (Answer.of({}, 302, location="http://elsewhere.example/"), ErrorKind.INVALID_REQUEST, False),
        (Answer(b"<html><h1>504 Gateway Time-out</h1></html>", 504), ErrorKind.TIMEOUT, False),
    ],
)
async def test_what_is_broken_has_a_kind(
    provider: ModelProvider, fake: Endpoint, answer: Answer, kind: ErrorKind, billed: bool
) -> None:
    fake.answer = answer
    refused = await _refused(provider, fake)
    assert (refused.error.kind, refused.maybe_billed) == (kind, billed), refused.error
    assert len(fake.sent) == 1


async def test_an_error_in_the_first_choice_keeps_the_usage_that_was_paid(
    provider: ModelProvider, fake: Endpoint
) -> None:
    broken = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "partial"}}
    broken["error"] = {"code": 502, "message": "Provider disconnected"}
    fake.answer = Answer.of(COMPLETION | {"choices": [broken]})
    refused = await _refused(provider, fake)
    assert refused.error.kind is ErrorKind.SERVER_ERROR
    assert refused.reply is not None and refused.reply.usage.tokens_in == 100


@pytest.mark.parametrize(
    ("choice", "kind"),
    [
        ({"finish_reason": "content_filter", "message": {"role": "assistant", "content": ""}}, "content_filtered"),
        ({"finish_reason": "stop", "message": {"role": "assistant", "refusal": "I cannot"}}, "content_filtered"),
        ({"finish_reason": "stop", "message": {"role": "assistant", "content": ""}}, "malformed_response"),
        ({"finish_reason": "stop", "message": {"role": "assistant", "content": None}}, "malformed_response"),
    ],
)
async def test_an_answer_without_use_is_refused_with_its_usage(
    provider: ModelProvider, fake: Endpoint, choice: dict[str, object], kind: str
) -> None:
    fake.answer = Answer.of(COMPLETION | {"choices": [{"index": 0, **choice}]})
    refused = await _refused(provider, fake)
    assert refused.error.kind.value == kind
    assert refused.reply is not None and refused.reply.usage.tokens_out == 20


async def test_an_endpoint_that_says_nothing_times_out(provider: ModelProvider, fake: Endpoint) -> None:
    fake.answer = Answer(delay_seconds=30)
    refused = await _refused(provider, fake, timeout_seconds=0.3)
    assert (refused.error.kind, refused.maybe_billed) == (ErrorKind.TIMEOUT, True)


async def test_a_dripping_answer_ends_when_its_caller_is_cancelled(provider: ModelProvider, fake: Endpoint) -> None:
    fake.answer = Answer(drip_seconds=0.2)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_call(provider, fake), 0.5)


async def test_nobody_listening_and_no_such_host_are_not_billed(provider: ModelProvider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/v1", "http://no-such-host.invalid/v1", "ftp://127.0.0.1/v1"):
        refused = await _refused(provider, Endpoint(base_url=url))
        assert (refused.error.kind, refused.maybe_billed) == (ErrorKind.CONNECTION, False)
        assert "local:org/model-1" in refused.error.message


async def test_plain_text_where_tls_is_expected_is_a_connection_error(provider: ModelProvider, fake: Endpoint) -> None:
    refused = await _refused(provider, Endpoint(base_url=fake.base_url.replace("http:", "https:")))
    assert (refused.error.kind, refused.maybe_billed) == (ErrorKind.CONNECTION, False)


async def test_a_missing_credential_names_the_reference_and_sends_nothing(
    provider: ModelProvider, fake: Endpoint
) -> None:
    with pytest.raises(CallRefused) as refused:
        await provider.call(REQUEST, _settings(fake, "env:MISSING"))
    assert refused.value.error.kind is ErrorKind.MISSING_CREDENTIAL
    assert "env:MISSING" in refused.value.error.message and fake.sent == []


def _subclasses(root: type[BaseException]) -> set[type[BaseException]]:
    return {root}.union(*(_subclasses(child) for child in root.__subclasses__()))


def test_no_exception_of_the_http_client_is_missed() -> None:
    assert all(issubclass(kind, FOREIGN) for kind in _subclasses(httpx2.HTTPError))
    for kind in _subclasses(httpx2.TransportError):
        error = kind("what happened")
        assert isinstance(error, Exception)
        refused = from_exception(error, "p:m", Exchange(headers={}))
        assert refused.error.kind in {ErrorKind.CONNECTION, ErrorKind.TIMEOUT}


def test_what_the_library_raises_about_a_model_is_foreign() -> None:
    raised = {"ModelAPIError", "ModelHTTPError", "UnexpectedModelBehavior", "UserError"}
    assert all(issubclass(getattr(pydantic_ai.exceptions, name), FOREIGN) for name in raised)
