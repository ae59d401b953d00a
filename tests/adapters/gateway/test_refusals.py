"""Who and what is not let through: told in the words of the client's format, and never sent to a provider."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from adapters.gateway.app import GatewayApp, GatewayLimits
from adapters.gateway.server import gateway_sockets
from adapters.gateway.server import serving as endpoint_serving
from domain.errors import Unavailable
from domain.gateway.ports import GatewayAccess
from tests.adapters.gateway.test_passed_on import COMPLETION, DONE, bearer, chunk
from tests.support.databases import Database
from tests.support.gateways import Served, anthropic_at, openai_at, served
from tests.support.raw_upstream import Pieces, RawUpstream
from tests.support.waiting import until

CHAT = {"model": "gpt-5", "messages": [{"role": "user", "content": "hi"}]}
MESSAGES = {"model": "claude-x", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}


async def chat(http: httpx.AsyncClient, access: GatewayAccess, **more: object) -> httpx.Response:
    return await http.post(f"{access.base_url_openai}/chat/completions", json=CHAT | more, headers=bearer(access))


async def messages(http: httpx.AsyncClient, access: GatewayAccess, **more: object) -> httpx.Response:
    url = f"{access.base_url_anthropic}/v1/messages"
    return await http.post(url, json=MESSAGES | more, headers={"x-api-key": access.token})


def openai_error(answer: httpx.Response) -> tuple[int, Any]:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"]
    return answer.status_code, error["code"]


def anthropic_error(answer: httpx.Response) -> tuple[int, Any]:
    told = answer.json()
    assert told["type"] == "error" and told["error"]["message"]
    return answer.status_code, told["error"]["type"]


async def test_a_token_of_an_ended_execution_is_worth_nothing(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    async with serving.access("openai:gpt-5") as old, serving.access("openai:gpt-5") as other:
        assert old.token != other.token
    assert openai_error(await chat(http, old)) == (401, "invalid_api_key")
    assert anthropic_error(await messages(http, old)) == (401, "authentication_error")
    models = await http.get(f"{old.base_url_openai}/models", headers=bearer(old))
    assert openai_error(models) == (401, "invalid_api_key")
    assert models.headers["x-should-retry"] == "false"
    assert upstream.received == [] and serving.steps("id") == []


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer"}, {"authorization": "Basic abc"}, {"x-api-key": "sk-0"}, {"x-api-key": "ü"}],
)
async def test_no_token_and_any_other_token_are_refused(
    serving: Served, http: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    async with serving.access("openai:gpt-5") as access:
        answer = await http.post(f"{access.base_url_openai}/chat/completions", json=CHAT, headers=raw)
        almost = {"authorization": f"Bearer {access.token[:-1]}"}
        cut = await http.post(f"{access.base_url_openai}/chat/completions", json=CHAT, headers=almost)
    assert openai_error(answer) == openai_error(cut) == (401, "invalid_api_key")


async def test_a_fenced_execution_is_told_in_the_format(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    grant = serving.grant("anthropic:claude-x")
    async with serving.gateway.granted(grant) as access:
        serving.rows.next_execution(serving.org, grant.run_id, grant.attempt_id, uuid4(), 2)
        assert anthropic_error(await messages(http, access)) == (401, "authentication_error")
    assert upstream.received == [] and serving.steps("id") == []


async def test_a_model_that_is_not_granted_is_refused_by_name(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    async with serving.access("openai:gpt-5", also_allowed=("anthropic:claude-x",)) as access:
        answer = await chat(http, access, model="gpt-6-pro")
        assert openai_error(answer) == (403, "model_not_allowed")
        assert (
            "`gpt-6-pro`" in answer.json()["error"]["message"] and "openai:gpt-5" in answer.json()["error"]["message"]
        )
        assert anthropic_error(await messages(http, access, model="claude-y")) == (403, "permission_error")
        use = serving.gateway.use(access.token)
        assert use.trouble is not None and "`claude-y`" in use.trouble.message and use.calls == 0
        upstream.answer = lambda _: Pieces.json(COMPLETION)
        for name in ("millwright", "gpt-5", "openai:gpt-5"):
            assert (await chat(http, access, model=name)).status_code == 200
    assert [received.body["model"] for received in upstream.received] == ["gpt-5"] * 3


async def test_a_granted_model_that_the_policy_forbids_is_not_called(
    upstream: RawUpstream, module_database: Database, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    provider = openai_at(upstream.base_url, denied_models=("gpt-5",))
    async with (
        served(module_database, provider, scripts=tmp_path) as serving,
        serving.access("openai:gpt-5", also_allowed=("nobody:x",)) as access,
    ):
        for model in ("gpt-5", "nobody:x"):
            answer = await chat(http, access, model=model)
            assert openai_error(answer) == (403, "model_not_allowed")
            assert answer.headers["x-should-retry"] == "false"
        assert serving.steps("id") == [] and upstream.received == []


async def test_money_is_refused_before_the_call(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    upstream.answer = lambda _: Pieces.json(COMPLETION)
    async with serving.access("openai:gpt-5", run_usd=Decimal("0.001")) as access:
        assert openai_error(await chat(http, access)) == (429, "insufficient_quota")
        use = serving.gateway.use(access.token)
        assert use.trouble is not None and use.trouble.budget == "cost" and use.cost_usd == 0
        assert upstream.received == [] and serving.steps("id") == []
        assert (await chat(http, access, max_tokens=10)).status_code == 200
    async with serving.access("anthropic:claude-x", run_tokens=10) as access:
        assert anthropic_error(await messages(http, access)) == (402, "billing_error")
    assert len(upstream.received) == 1


@pytest.mark.parametrize(
    ("cap", "exhausted"),
    [({"max_calls": 2}, "calls"), ({"max_tokens": 130}, "tokens"), ({"max_usd": "0.0005"}, "cost")],
)
async def test_a_grants_own_caps_stop_it(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient, cap: dict[str, object], exhausted: str
) -> None:
    upstream.answer = lambda _: Pieces.json(COMPLETION)
    async with serving.access("openai:gpt-5", **cap) as access:
        assert [(await chat(http, access)).status_code for _ in range(4)] == [200, 200, 429, 429]
        use = serving.gateway.use(access.token)
    assert (use.exhausted, use.calls) == (exhausted, 2) and use.trouble is not None
    assert len(upstream.received) == 2 == len(serving.steps("id"))


async def test_a_used_up_rate_says_when_to_come_back(
    upstream: RawUpstream, module_database: Database, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    upstream.answer = lambda _: Pieces.json(COMPLETION)
    provider = openai_at(upstream.base_url, requests_per_minute=1)
    async with (
        served(module_database, provider, scripts=tmp_path) as serving,
        serving.access("openai:gpt-5") as access,
    ):
        assert (await chat(http, access)).status_code == 200
        answer = await chat(http, access)
    assert openai_error(answer) == (429, "rate_limit_exceeded")
    assert 1 <= int(answer.headers["retry-after"]) <= 61 and answer.headers["x-should-retry"] == "true"


async def test_the_end_of_a_grant_ends_its_calls(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    gate = asyncio.Event()
    upstream.answer = lambda _: Pieces([chunk({"content": "first"}), DONE], gate=gate)
    async with serving.access("openai:gpt-5") as access:
        answer = asyncio.ensure_future(chat(http, access, stream=True))
        await until(lambda: serving.gateway.use(access.token).in_flight == 1 and upstream.received)
    use = serving.gateway.use(access.token)
    assert (use.calls, use.in_flight, use.cost_usd) == (1, 0, None)
    assert serving.steps("status", "error->>'kind'", "cost_usd") == [("failed", "cancelled", None)]
    text = (await answer).text
    assert '"code": "invalid_api_key"' in text and "[DONE]" not in text


async def test_what_is_not_served_and_what_cannot_be_read(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    async with serving.access("openai:gpt-5") as access:
        base, auth = access.base_url_openai, bearer(access)
        unknown = await http.post(f"{base}/embeddings", json=CHAT, headers=auth)
        assert openai_error(unknown) == (404, "not_found")
        gone = await http.get(f"{access.base_url_anthropic}/v1/files", headers=auth)
        assert anthropic_error(gone) == (404, "not_found_error")
        for body in (b"", b"[]", b"{", b'{"model": 1}x', b"\xff", b'{"a":' * 50_000):
            answer = await http.post(f"{base}/chat/completions", content=body, headers=auth)
            assert openai_error(answer) == (400, "invalid_request"), body[:20]
        squeezed = await http.post(
            f"{base}/chat/completions", content=b"x", headers=auth | {"content-encoding": "zstd"}
        )
        assert openai_error(squeezed) == (400, "invalid_request") and "zstd" in squeezed.text
        background = await http.post(f"{base}/responses", json={"input": "x", "background": True}, headers=auth)
        assert openai_error(background) == (400, "invalid_request") and "`background`" in background.text
    assert upstream.received == [] and serving.steps("id") == []


async def test_a_body_that_is_too_long_or_too_slow_is_not_waited_for(serving: Served) -> None:
    limits = GatewayLimits(body_bytes=1_000, body_seconds=0.3)
    with gateway_sockets(0) as sockets:
        async with (
            endpoint_serving(sockets, GatewayApp(serving.gateway, limits)),
            serving.access("openai:gpt-5") as access,
            httpx.AsyncClient(timeout=30) as http,
        ):
            url = f"{sockets.address.base_url_openai}/chat/completions"
            told = await http.post(url, content=b"x" * 2_000, headers=bearer(access))
            assert openai_error(told) == (413, "request_too_large")

            async def flood() -> Any:
                for _ in range(20):
                    yield b"x" * 100

            assert openai_error(await http.post(url, content=flood(), headers=bearer(access))) == (
                413,
                "request_too_large",
            )

            async def stuck() -> Any:
                yield b"{"
                await asyncio.sleep(5)
                yield b"}"

            assert openai_error(await http.post(url, content=stuck(), headers=bearer(access))) == (504, "timeout")


async def test_more_calls_at_once_than_the_gateway_bears_are_told_to_wait(
    serving: Served, upstream: RawUpstream
) -> None:
    gate = asyncio.Event()
    upstream.answer = lambda _: Pieces([chunk({}), chunk({}, "stop") + DONE], gate=gate)
    with gateway_sockets(0) as sockets:
        async with (
            endpoint_serving(sockets, GatewayApp(serving.gateway, GatewayLimits(calls=1))),
            serving.access("openai:gpt-5") as access,
            httpx.AsyncClient(timeout=30) as http,
        ):
            there = access.model_copy(update=sockets.address.model_dump())
            first = asyncio.ensure_future(chat(http, there, stream=True))
            await until(lambda: upstream.received)
            second = await chat(http, there)
            assert openai_error(second) == (429, "rate_limit_exceeded") and second.headers["retry-after"] == "1"
            gate.set()
            assert (await first).status_code == 200


async def test_models_are_listed_in_both_formats(serving: Served, http: httpx.AsyncClient) -> None:
    async with serving.access("openai:gpt-5", also_allowed=("anthropic:claude-x",)) as access:
        openai = await http.get(f"{access.base_url_openai}/models?client_version=1", headers=bearer(access))
        listed = openai.json()
        assert [entry["id"] for entry in listed["data"]] == ["gpt-5", "claude-x", "millwright"]
        assert listed["object"] == "list" and listed["models"] == []
        one = await http.get(f"{access.base_url_openai}/models/claude-x", headers=bearer(access))
        assert one.json()["owned_by"] == "anthropic"
        full = await http.get(f"{access.base_url_openai}/models/openai:gpt-5", headers=bearer(access))
        assert full.json()["id"] == "gpt-5"
        anthropic = await http.get(f"{access.base_url_anthropic}/v1/models", headers={"x-api-key": access.token})
        assert anthropic.json()["first_id"] == "gpt-5" and anthropic.json()["data"][1]["type"] == "model"
        none = await http.get(f"{access.base_url_anthropic}/v1/models/gpt-9", headers={"x-api-key": access.token})
        assert anthropic_error(none) == (404, "not_found_error")
        assert (await http.head(f"{access.base_url_anthropic}/")).status_code == 200
    assert serving.steps("id") == [], "lists are no calls"


async def test_a_provider_without_its_key_is_named_and_no_secret_is_told(
    upstream: RawUpstream, module_database: Database, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    async with (
        served(
            module_database, anthropic_at(upstream.base_url), scripts=tmp_path, environment={"OTHER": "x"}
        ) as serving,
        serving.access("anthropic:claude-x") as access,
    ):
        answer = await messages(http, access)
        assert anthropic_error(answer) == (500, "api_error") and "KEY" in answer.text
        assert serving.steps("status", "error->>'kind'", "cost_usd") == [("failed", "missing_credential", Decimal(0))]
    assert upstream.received == []


async def test_a_provider_that_is_not_there_is_told(
    module_database: Database, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    async with (
        served(module_database, openai_at("http://127.0.0.1:9"), scripts=tmp_path) as serving,
        serving.access("openai:gpt-5") as access,
    ):
        answer = await chat(http, access)
        assert openai_error(answer) == (502, "upstream_connection")
        assert serving.steps("status", "error->>'kind'", "cost_usd") == [("failed", "connection", Decimal(0))]


async def test_an_answer_that_is_not_the_format_is_told_as_broken(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    upstream.answer = lambda _: Pieces([b"<html>"], headers={"content-type": "text/html"})
    async with serving.access("openai:gpt-5") as access:
        assert openai_error(await chat(http, access)) == (502, "upstream_malformed")
        upstream.answer = lambda _: Pieces.json({"error": {"message": "no credit", "code": "insufficient_quota"}})
        inside = await chat(http, access)
    assert (inside.status_code, inside.json()) == (
        200,
        {"error": {"message": "no credit", "code": "insufficient_quota"}},
    )
    assert serving.steps("status", "error->>'kind'") == [
        ("failed", "malformed_response"),
        ("failed", "quota_exhausted"),
    ]


async def test_a_port_that_is_taken_is_said(serving: Served) -> None:
    async with serving.access("openai:gpt-5") as access:
        port = int(access.base_url_openai.rpartition(":")[2].partition("/")[0])
        with pytest.raises(Unavailable, match=f"port {port}") as refused, gateway_sockets(port):
            raise AssertionError
    assert "MILLWRIGHT_GATEWAY_PORT" in refused.value.hint
    assert json.dumps(access.token) not in refused.value.message
