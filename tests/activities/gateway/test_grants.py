"""Grants over the one path: step keys of each execution, what is reserved, what is told of them afterwards."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from activities.gateway.gateway import Gateway
from adapters.gateway.outgoing import Outgoing
from adapters.providers.scripted import ScriptedProvider
from adapters.secrets.redactor import SecretRedactor
from adapters.store.calls import PostgresCallLedger
from adapters.store.database import Database as Record
from domain.errors import Unavailable
from domain.gateway.ports import GatewayAccess, GatewayAddress, GatewayGrant, GatewayUse
from domain.gateway.wire import WireAnswer, WireFormat, WireRequest
from domain.models.policy import Policy
from domain.models.ports import ModelProvider
from domain.runs.failure import ErrorKind
from tests.adapters.gateway.test_passed_on import COMPLETION, bearer
from tests.support.call_rows import call_pool
from tests.support.databases import Database
from tests.support.gateways import Served, openai_at, served
from tests.support.model_calls import calling
from tests.support.raw_upstream import Pieces, RawUpstream, raw_upstream


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    async with raw_upstream() as upstream:
        upstream.answer = lambda _: Pieces.json(COMPLETION)
        yield upstream


@pytest.fixture
async def serving(upstream: RawUpstream, module_database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(module_database, openai_at(upstream.base_url), scripts=tmp_path) as made:
        yield made


async def ask(access: GatewayAccess, content: object = "hi", **more: object) -> int:
    async with httpx.AsyncClient(timeout=30) as http:
        body = {"model": "millwright", "messages": [{"role": "user", "content": content}], **more}
        url = f"{access.base_url_openai}/chat/completions"
        return (await http.post(url, json=body, headers=bearer(access))).status_code


async def test_the_next_execution_asks_anew_and_is_not_answered_from_the_last_ones_record(
    serving: Served, upstream: RawUpstream
) -> None:
    first = serving.grant("openai:gpt-5")
    async with serving.gateway.granted(first) as access:
        assert await ask(access) == 200
    execution = uuid4()
    serving.rows.next_execution(serving.org, first.run_id, first.attempt_id, execution, 2)
    second = first.model_copy(update={"execution_id": execution})
    async with serving.gateway.granted(second) as access:
        assert await ask(access) == 200
        assert serving.gateway.use(access.token).calls == 1
    assert len(upstream.received) == 2
    assert serving.steps("execution_id", "key") == [
        (grant.execution_id, f"gateway#{grant.execution_id.hex[:12]}#1") for grant in (first, second)
    ]


async def test_what_was_used_is_told_once_more_after_the_end(serving: Served) -> None:
    async with serving.access("openai:gpt-5") as access:
        await ask(access)
        during = serving.gateway.use(access.token)
    assert serving.gateway.use(access.token) == during and during.calls == 1
    assert serving.gateway.use(access.token) == GatewayUse() == serving.gateway.use("sk-none")


async def test_an_image_is_reserved_as_an_image_and_text_as_text(serving: Served, upstream: RawUpstream) -> None:
    data = base64.b64encode(bytes(600_000)).decode()
    openai = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}]
    anthropic = [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}]
    async with serving.access("openai:gpt-5", run_tokens=20_000) as access:
        assert await ask(access, openai, max_tokens=10) == 200
        assert await ask(access, anthropic, max_tokens=10) == 200
        assert await ask(access, data, max_tokens=10) == 429
    assert len(upstream.received) == 2


async def test_a_calls_reservation_counts_every_choice_and_the_clients_own_limit(serving: Served) -> None:
    async with serving.access("openai:gpt-5", run_tokens=1_000) as access:
        assert await ask(access, max_completion_tokens=600, n=2) == 429
        assert await ask(access, max_completion_tokens=600) == 200
    async with serving.access("openai:gpt-5", run_tokens=1_000) as access:
        assert await ask(access) == 429, "without a limit of the client's own much is reserved"


async def test_a_token_is_hidden_wherever_it_is_printed(serving: Served) -> None:
    async with serving.access("openai:gpt-5") as access, serving.access("openai:gpt-5") as other:
        assert SecretRedactor().redact(f"OPENAI_API_KEY={access.token}\n") == "OPENAI_API_KEY=[redacted]\n"
        assert access.token not in repr(serving.gateway.use(other.token))


class _Away(PostgresCallLedger):
    """The record does not answer."""

    async def policy(self, org_id: UUID) -> Policy:
        raise Unavailable("PostgreSQL does not answer.", hint="Wait.")


async def test_a_record_that_does_not_answer_is_the_newest_trouble(module_database: Database) -> None:
    answered = GatewayAddress(base_url_openai="", base_url_anthropic="")
    async with call_pool(module_database) as pool:
        calls = calling(pool, {}, ledger=_Away(Record(pool), worker="test")).calls
        gateway = Gateway(calls=calls, forwarding=_NeverAsked(), address=answered)
        ids = {name: uuid4() for name in ("org_id", "run_id", "attempt_id", "execution_id")}
        async with gateway.granted(GatewayGrant(**ids, role="coder", model="openai:gpt-5")) as access:
            client = gateway.client(access.token)
            assert client is not None
            asked = WireRequest(format=WireFormat.OPENAI_CHAT, body=b"{}", model="")
            with pytest.raises(Unavailable):
                await client.ask(asked, Outgoing(_nobody, asked.format))
            trouble = gateway.use(access.token).trouble
    assert trouble is not None and (trouble.kind, trouble.hint) == (ErrorKind.STORAGE, "Wait.")


class _NeverAsked:
    def provider(self, asked: WireRequest, answer: WireAnswer) -> ModelProvider:
        return ScriptedProvider(Path("/nonexistent"))


async def _nobody(_: object) -> None:
    raise AssertionError
