"""A script behind a real socket: the same answers over the whole wire path, by headers and by the model's name."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest

from adapters.providers.registry import open_providers
from domain.models.messages import CallRefused, Message, ModelReply, ModelRequest, Speaker, TokenUsage
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
SCRIPT = {
    "replies": [
        {"role": "coder", "turn": 1, "text": "one"},
        {"role": "coder", "turn": 2, "files": {"a": "b"}},
        {
            "role": "planner",
            "text": "plan",
            "usage": {"tokens_in": 9, "tokens_out": 4, "tokens_cached": 1, "billed_usd": "0.5"},
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


async def _call(provider: ModelProvider, base_url: str, role: str, turn: int = 1) -> ModelReply:
    request = ModelRequest(
        model="served", messages=(Message(speaker=Speaker.USER, text="go"),), role=role, turn=turn, timeout_seconds=20
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
        (b'{"model": "served@coder", "stream": true}', "`stream` is not served"),
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
