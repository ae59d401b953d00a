"""Corners of HTTP, and failures of our own: what the client is told, and what it is not."""

import asyncio
import gzip
import json
from pathlib import Path

import httpx
import pytest

from adapters.gateway.app import GatewayApp
from adapters.gateway.server import gateway_sockets
from adapters.gateway.server import serving as endpoint_serving
from domain.errors import Unavailable
from domain.gateway.wire import WireAnswer, WireClient, WireRequest
from domain.models.messages import ModelReply
from tests.adapters.gateway.test_passed_on import COMPLETION, DONE, LAST_USAGE, bearer, chunk
from tests.support.gateways import Served
from tests.support.model_calls import PLANTED
from tests.support.raw_upstream import Pieces, RawUpstream
from tests.support.waiting import until

CHAT = {"model": "gpt-5", "messages": []}


async def test_an_answer_that_is_compressed_all_the_same_is_read_and_passed_plain(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    upstream.answer = lambda _: Pieces([gzip.compress(json.dumps(COMPLETION).encode())], headers=headers)
    async with serving.access("openai:gpt-5") as access:
        answer = await http.post(f"{access.base_url_openai}/chat/completions", json=CHAT, headers=bearer(access))
    assert answer.json() == COMPLETION and "content-encoding" not in answer.headers
    assert upstream.received[0].headers["accept-encoding"] == "identity"
    assert serving.steps("tokens_in") == [(100,)]


async def test_a_redirect_is_not_followed(serving: Served, upstream: RawUpstream, http: httpx.AsyncClient) -> None:
    away = {"location": f"{upstream.base_url}/elsewhere", "content-type": "text/plain"}
    upstream.answer = lambda _: Pieces([b"moved"], 307, away)
    async with serving.access("openai:gpt-5") as access:
        answer = await http.post(f"{access.base_url_openai}/chat/completions", json=CHAT, headers=bearer(access))
    assert answer.status_code == 400 and "redirected" in answer.json()["error"]["message"]
    assert [received.path for received in upstream.received] == ["/v1/chat/completions"]


async def test_a_long_request_with_a_wrong_token_is_refused_without_being_read(
    serving: Served, http: httpx.AsyncClient
) -> None:
    async with serving.access("openai:gpt-5") as access:
        url = f"{access.base_url_openai}/chat/completions"
        for _ in range(3):
            wrong = await http.post(url, content=b"x" * 5_000_000, headers={"x-api-key": "sk-wrong"})
            assert wrong.status_code == 401
        assert (await http.get(f"{access.base_url_openai}/models", headers=bearer(access))).status_code == 200


async def test_a_client_that_does_not_read_holds_the_provider_up_and_not_our_memory(
    serving: Served, upstream: RawUpstream
) -> None:
    many = [chunk({"content": "x" * 60_000}) for _ in range(600)]
    upstream.answer = lambda _: Pieces([*many, chunk({}, "stop"), LAST_USAGE, DONE])
    async with serving.access("openai:gpt-5") as access:
        port = int(access.base_url_openai.rpartition(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65_536)
        body = json.dumps(CHAT | {"stream": True}).encode()
        head = f"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {access.token}\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while before != upstream.pieces:  # until nothing moves any more
            before = upstream.pieces
            await asyncio.sleep(0.5)
        assert 0 < before < 550
        while b"[DONE]" not in await reader.read(1_000_000):
            pass
        writer.close()
        await until(lambda: serving.steps("status") == [("done",)])


class _Failing:
    """WireClient and WireClients in one, that fails as it is told."""

    models = ("openai:gpt-5",)

    def __init__(self, error: Exception) -> None:
        self._error = error

    def client(self, token: str) -> WireClient | None:
        return self

    async def ask(self, asked: WireRequest, answer: WireAnswer) -> ModelReply:
        if asked.stream:
            await answer.begin(200, (("content-type", "text/event-stream"),))
            await answer.send(b"data: hal")
        raise self._error


@pytest.mark.parametrize(
    ("error", "status", "openai", "anthropic"),
    [
        (Unavailable("PostgreSQL does not answer.", hint="Wait."), 503, "unavailable", "overloaded_error"),
        (RuntimeError(PLANTED), 500, "server_error", "api_error"),
    ],
)
async def test_our_own_failures_are_told_in_the_format_without_their_inside(
    error: Exception, status: int, openai: str, anthropic: str
) -> None:
    with gateway_sockets(0) as sockets:
        async with (
            endpoint_serving(sockets, GatewayApp(_Failing(error))),
            httpx.AsyncClient(timeout=30) as http,
        ):
            chat = f"{sockets.address.base_url_openai}/chat/completions"
            plain = await http.post(chat, json=CHAT)
            assert (plain.status_code, plain.json()["error"]["code"]) == (status, openai)
            other = await http.post(f"{sockets.address.base_url_anthropic}/v1/messages", json=CHAT)
            assert (other.status_code, other.json()["error"]["type"]) == (status, anthropic)
            begun = await http.post(chat, json=CHAT | {"stream": True})
            half, told = begun.text.split("\n\n", 1)
            assert half == "data: hal" and json.loads(told.removeprefix("data: "))["error"]["code"] == openai
            codex = await http.post(f"{sockets.address.base_url_openai}/responses", json=CHAT | {"stream": True})
            failed = json.loads(codex.text.split("data: ")[-1])
            assert failed["type"] == "response.failed" and failed["response"]["error"]["code"] == openai
            assert PLANTED not in plain.text + other.text + begun.text + codex.text


async def test_half_a_character_stops_no_translation(
    serving: Served, upstream: RawUpstream, http: httpx.AsyncClient
) -> None:
    upstream.answer = lambda _: Pieces.json(COMPLETION)
    half = b'{"model": "gpt-5", "max_tokens": 9, "messages": [{"role": "user", "content": "a \\ud800 b"}]}'
    async with serving.access("openai:gpt-5") as access:
        url = f"{access.base_url_anthropic}/v1/messages"
        answer = await http.post(url, content=half, headers=bearer(access))
    assert answer.status_code == 200, answer.text
    assert upstream.received[0].body["messages"][0]["content"] == "a ? b"


def test_a_temporary_folder_with_a_long_path_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with pytest.raises(Unavailable, match="socket") as refused, gateway_sockets(0):
        raise AssertionError
    assert "TMPDIR" in refused.value.hint and not list(long.iterdir())


async def test_over_the_unix_socket_it_is_the_same_endpoint(serving: Served, upstream: RawUpstream) -> None:
    upstream.answer = lambda _: Pieces.json(COMPLETION)
    async with serving.access("openai:gpt-5") as access:
        transport = httpx.AsyncHTTPTransport(uds=str(access.socket))
        async with httpx.AsyncClient(transport=transport) as http:
            url = "http://gateway/openai/v1/chat/completions"
            assert (await http.post(url, json=CHAT, headers=bearer(access))).json() == COMPLETION
            assert (await http.post(url, json=CHAT)).status_code == 401
