"""The one path of a model call, with the scripted provider and a real PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from activities.models.settling import Settlement
from adapters.providers.registry import open_providers
from adapters.providers.scripted import ScriptedProvider
from adapters.store.calls import PostgresCallLedger
from adapters.store.database import Database as Record
from adapters.store.database import Pool
from domain.errors import Unavailable
from domain.failpoints import Point
from domain.models.messages import (
    CallRefused,
    CallScope,
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
from domain.models.policy import Policy, ProviderKind, ProviderSettings
from domain.models.ports import INLINE_REPLY_BYTES, ModelProvider
from domain.runs.failure import ErrorKind, PhaseError
from tests.support.call_rows import Rows, call_pool
from tests.support.databases import Database
from tests.support.fake_endpoint import Answer, endpoint
from tests.support.model_calls import PLANTED, Calling, calling, question

FREE = ProviderSettings(
    name="scripted",
    kind=ProviderKind.SCRIPTED,
    price_in_usd_per_million=Decimal(0),
    price_out_usd_per_million=Decimal(0),
)
PRICED = FREE.model_copy(update={"price_in_usd_per_million": Decimal(2), "price_out_usd_per_million": Decimal(10)})
BARE = ProviderSettings(name="scripted", kind=ProviderKind.SCRIPTED)
BIG = "ü" * INLINE_REPLY_BYTES

SCRIPT = f"""
usage: {{tokens_in: 1000, tokens_out: 100, tokens_cached: 10}}
replies:
  - {{role: coder, text: "the answer"}}
  - {{role: big, text: "{BIG}"}}
  - {{role: slow, text: late, delay_seconds: 30}}
  - {{role: steady, text: fine, delay_seconds: 0.5}}
  - role: agent
    text: "I write {PLANTED}"
    tool_calls:
      - {{name: write_file, arguments: {{path: a.py, content: "{PLANTED}"}}}}
      - {{name: run, raw: '{{"command": "{PLANTED}'}}
    finish: length
  - {{role: limited, error: {{kind: rate_limited, message: "key {PLANTED} is throttled", retry_after_seconds: 7}}}}
"""


CALL = ToolCall(id="c", name="run", arguments='{"command": ["ls"]}')
TOOLS = (ToolSpec(name="run", description="x" * 3_000, parameters={"type": "object"}),)


class _Answering:
    """ModelProvider with one answer."""

    def __init__(self, reply: ModelReply) -> None:
        self._reply = reply

    async def call(self, request: ModelRequest, settings: ProviderSettings) -> ModelReply:
        return self._reply


@pytest.fixture
def rows(module_database: Database) -> Rows:
    return Rows(module_database)


@pytest.fixture
async def pool(module_database: Database) -> AsyncIterator[Pool]:
    async with call_pool(module_database) as pool:
        yield pool


@pytest.fixture
def provider(tmp_path: Path) -> ModelProvider:
    (tmp_path / "demo.yaml").write_text(SCRIPT)
    return ScriptedProvider(tmp_path)


@pytest.fixture
def given(pool: Pool, provider: ModelProvider) -> Calling:
    return calling(pool, {ProviderKind.SCRIPTED: provider})


def _policy(settings: ProviderSettings = FREE, **more: object) -> Policy:
    return Policy.model_validate({"version": 1, "providers": (settings,)} | more)


async def _refused(given: Calling, scope: CallScope, role: str = "coder", model: str = "scripted:demo") -> CallRefused:
    with pytest.raises(CallRefused) as refused:
        await given.calls.call(scope, model, messages=question(), role=role)
    return refused.value


def _steps(rows: Rows, scope: CallScope) -> list[object]:
    return rows.run(
        "SELECT status, error->>'kind', cost_usd FROM step WHERE org_id = %s ORDER BY started_at", scope.org_id
    )


async def test_a_call_is_answered_recorded_and_priced(given: Calling, rows: Rows) -> None:
    scope = rows.scope(rows.organization(_policy(PRICED)))
    answered = await given.calls.call(scope, "scripted:demo", messages=question(), role="coder")
    assert (answered.reply.text, answered.repeated, answered.model_asked) == ("the answer", False, "scripted:demo")
    assert (answered.cost_usd, answered.price_version) == (Decimal("0.003"), "policy v1")
    assert rows.run(
        "SELECT id, status, tokens_in, tokens_out, tokens_cached, cost_usd, price_version, model_asked, model_answered,"
        " convert_from(reply_body, 'UTF8') FROM step WHERE org_id = %s",
        scope.org_id,
    ) == [
        (answered.step_id, "done", 1000, 100, 10, Decimal("0.003"), "policy v1", "scripted:demo", "demo", "the answer")
    ]
    assert given.points.hits == [Point.CALL_AFTER_BEGIN, Point.CALL_AFTER_ANSWER, Point.CALL_AFTER_END]
    await asyncio.sleep(0)  # told while nobody waits for it
    assert [(name, kind) for name, kind, _ in given.metrics.calls] == [("scripted", None)]
    assert given.artifacts.bodies == {}, "a small reply is committed by end_call itself"


async def test_the_parts_of_a_call_sum_to_its_wall_time(given: Calling, rows: Rows) -> None:
    scope = rows.scope(rows.organization(_policy()))
    for n in range(8):  # every connection has its statements prepared
        warm = scope.model_copy(update={"step_key": f"warm-{n}"})
        await given.calls.call(warm, "scripted:demo", messages=question(), role="coder")
    started = time.monotonic()
    answered = await given.calls.call(scope, "scripted:demo", messages=question(), role="steady")
    wall = time.monotonic() - started
    assert answered.times is not None
    assert answered.times.wall_seconds == pytest.approx(wall, rel=0.01)
    assert answered.times.api_seconds == pytest.approx(0.5, rel=0.2)
    recorded = rows.run(
        "SELECT queue_seconds + api_seconds + run_seconds, extract(epoch FROM ended_at - started_at)::float8"
        " FROM step WHERE id = %s",
        answered.step_id,
    )[0]
    assert recorded[0] == pytest.approx(recorded[1], rel=0.01, abs=0.1)  # a busy machine lies between two clocks


async def test_a_repeated_call_is_answered_from_the_record_and_pays_nothing(
    given: Calling, pool: Pool, provider: ModelProvider, rows: Rows
) -> None:
    scope = rows.scope(rows.organization(_policy(PRICED)))
    first = await given.calls.call(scope, "scripted:demo", messages=question(), role="coder")
    nobody = calling(pool, {})
    again = await nobody.calls.call(scope, "scripted:demo", messages=question(), role="coder")
    assert again.repeated and again.reply == first.reply
    assert (again.cost_usd, again.price_version, again.step_id) == (first.cost_usd, first.price_version, first.step_id)
    assert len(_steps(rows, scope)) == 1 and nobody.points.hits == []


async def test_tool_calls_are_recorded_without_secrets_and_repeated_as_they_were(
    given: Calling, pool: Pool, rows: Rows
) -> None:
    scope = rows.scope(rows.organization(_policy(PRICED)))
    first = await given.calls.call(scope, "scripted:demo", messages=question(), tools=TOOLS, role="agent")
    assert first.reply.finish is Finish.LENGTH and first.reply.text == "I write [redacted]"
    assert [(call.name, call.arguments) for call in first.reply.tool_calls] == [
        ("write_file", '{"path": "a.py", "content": "[redacted]"}'),
        ("run", '{"command": "[redacted]'),
    ]
    [(body,)] = rows.run("SELECT convert_from(reply_body, 'UTF8') FROM step WHERE org_id = %s", scope.org_id)
    assert PLANTED not in str(body)
    again = await calling(pool, {}).calls.call(scope, "scripted:demo", messages=question(), role="agent")
    assert again.repeated and again.reply == first.reply


async def test_a_billed_reply_is_repeated_with_its_bill(pool: Pool, rows: Rows) -> None:
    scope = rows.scope(rows.organization(_policy()))
    reply = ModelReply(text="", tool_calls=(CALL,), usage=TokenUsage(tokens_in=1, billed_usd=Decimal("0.25")))
    first = await calling(pool, {ProviderKind.SCRIPTED: _Answering(reply)}).calls.call(
        scope, "scripted:demo", messages=question(), role="coder"
    )
    again = await calling(pool, {}).calls.call(scope, "scripted:demo", messages=question(), role="coder")
    assert first.reply == again.reply == reply and again.cost_usd == Decimal("0.25")


async def test_tools_count_in_the_reservation(given: Calling, rows: Rows) -> None:
    scope = rows.scope(rows.organization(_policy()), run_tokens=17_000)
    talk = (
        *question(),
        Message(speaker=Speaker.ASSISTANT, text="", tool_calls=(CALL,)),
        Message(speaker=Speaker.USER, text="", tool_results=(ToolResult(call_id="c", name="run", text="x" * 2_000),)),
    )
    with pytest.raises(CallRefused) as refused:
        await given.calls.call(scope, "scripted:demo", messages=talk, role="coder")
    assert refused.value.error.budget == "tokens"
    with pytest.raises(CallRefused) as refused:
        await given.calls.call(scope, "scripted:demo", messages=question(), tools=TOOLS, role="coder")
    assert refused.value.error.budget == "tokens"
    await given.calls.call(scope, "scripted:demo", messages=question(), role="coder")


async def test_a_big_reply_lies_in_the_artifact_store_before_the_call_ends(given: Calling, rows: Rows) -> None:
    scope = rows.scope(rows.organization(_policy()))
    first = await given.calls.call(scope, "scripted:demo", messages=question(), role="big")
    assert list(given.artifacts.bodies.values()) == [BIG.encode()]
    assert rows.run("SELECT reply_sha256, reply_body FROM step WHERE org_id = %s", scope.org_id) == [
        (first.reply_sha256, None)
    ]
    again = await given.calls.call(scope, "scripted:demo", messages=question(), role="big")
    assert again.repeated and again.reply.text == BIG
    given.artifacts.bodies.clear()
    refused = await _refused(given, scope, "big")
    assert refused.error.kind is ErrorKind.STORAGE and "There is no artifact" in refused.error.message


async def test_an_answer_that_cannot_be_kept_is_a_storage_error_with_its_cost(given: Calling, rows: Rows) -> None:
    scope = rows.scope(rows.organization(_policy(PRICED)))
    given.artifacts.full = True
    refused = await _refused(given, scope, "big")
    assert refused.error.kind is ErrorKind.STORAGE and "the disk is full" in refused.error.message
    assert _steps(rows, scope) == [("failed", "storage", Decimal("0.003"))]


async def test_a_model_outside_the_policy_is_never_called(given: Calling, rows: Rows) -> None:
    scope = rows.scope(rows.organization(_policy()))
    refused = await _refused(given, scope, model="openai:gpt-5-mini")
    assert refused.error.kind is ErrorKind.POLICY_BLOCKED and "`openai`" in refused.error.message
    none_yet = rows.scope(rows.organization())
    assert (await _refused(given, none_yet)).error.kind is ErrorKind.POLICY_BLOCKED
    assert _steps(rows, scope) == _steps(rows, none_yet) == []


async def test_a_changed_policy_is_decided_anew_in_both_directions(given: Calling, rows: Rows) -> None:
    org = rows.organization(_policy())
    await given.calls.call(rows.scope(org), "scripted:demo", messages=question(), role="coder")
    off = FREE.model_copy(update={"enabled": False})
    rows.policy(org, Policy(version=2, providers=(off,)))
    refused = await _refused(given, rows.scope(org))
    assert refused.error.kind is ErrorKind.POLICY_BLOCKED and "switched off" in refused.error.message
    rows.policy(org, Policy(version=3, providers=(FREE,), default_models={"default": "scripted:demo"}))
    await given.calls.call(rows.scope(org), "scripted:demo", messages=question(), role="coder")
    assert (await given.calls.defaults(org)).policy.default_models == {"default": "scripted:demo"}


async def test_limits_refuse_with_what_to_do(given: Calling, rows: Rows) -> None:
    slow = rows.organization(_policy(FREE.model_copy(update={"requests_per_minute": 1})))
    await given.calls.call(rows.scope(slow), "scripted:demo", messages=question(), role="coder")
    waits = (await _refused(given, rows.scope(slow))).error
    assert waits.kind is ErrorKind.RATE_LIMITED and waits.retry_after_seconds and waits.retry_after_seconds > 50
    poor = rows.organization(_policy(PRICED, monthly_usd=Decimal("0.1")))
    broke = (await _refused(given, rows.scope(poor))).error
    assert broke.kind is ErrorKind.QUOTA_EXHAUSTED and "monthly_usd" in broke.hint and "$0.1600" in broke.message
    short = rows.scope(rows.organization(_policy()), run_tokens=1_000)
    over = (await _refused(given, short)).error
    assert (over.kind, over.budget) == (ErrorKind.QUOTA_EXHAUSTED, "tokens"), "the run ends as budget_exceeded(tokens)"
    assert (waits.budget, broke.budget) == (None, None)


async def test_an_unpriced_model_is_refused_under_a_money_limit_and_unpriced_without(
    given: Calling, rows: Rows
) -> None:
    limited = rows.scope(rows.organization(_policy(BARE, monthly_usd=Decimal(5))))
    refused = (await _refused(given, limited)).error
    assert refused.kind is ErrorKind.POLICY_BLOCKED and "price_in_usd_per_million" in refused.hint
    run_limited = rows.scope(rows.organization(_policy(BARE)), run_usd=Decimal(5))
    assert (await _refused(given, run_limited)).error.kind is ErrorKind.POLICY_BLOCKED
    free = rows.scope(rows.organization(_policy(BARE)))
    answered = await given.calls.call(free, "scripted:demo", messages=question(), role="coder")
    assert (answered.cost_usd, answered.price_version) == (None, None)


async def test_a_providers_failure_keeps_its_kind_and_no_secret(given: Calling, rows: Rows) -> None:
    scope = rows.scope(rows.organization(_policy(PRICED, monthly_usd=Decimal(1))))
    refused = await _refused(given, scope, "limited")
    assert (refused.error.kind, refused.error.retry_after_seconds) == (ErrorKind.RATE_LIMITED, 7.0)
    assert PLANTED not in str(refused) and "[redacted]" in refused.error.message
    assert _steps(rows, scope) == [("failed", "rate_limited", Decimal(0))]
    assert PLANTED not in str(rows.run("SELECT error::text FROM step WHERE org_id = %s", scope.org_id))
    open_money = rows.run("SELECT count(*) FROM reservation WHERE org_id = %s AND settled_at IS NULL", scope.org_id)
    assert open_money == [(0,)], "a refusal by the provider is not billed"


class _Broken:
    """A provider with a defect."""

    async def call(self, request: ModelRequest, settings: ProviderSettings) -> ModelReply:
        try:
            raise KeyError(PLANTED)
        except KeyError as cause:
            raise RuntimeError(f"could not use {PLANTED}") from cause


async def test_a_foreign_exception_becomes_internal_and_leaks_nothing(pool: Pool, rows: Rows) -> None:
    given = calling(pool, {ProviderKind.SCRIPTED: _Broken()})
    scope = rows.scope(rows.organization(_policy(PRICED)))
    refused = await _refused(given, scope)
    assert refused.error.kind is ErrorKind.INTERNAL and "RuntimeError" in refused.error.message
    assert refused.error.excerpt == "could not use [redacted]"
    assert refused.__cause__ is None and refused.__context__ is None
    assert _steps(rows, scope) == [("failed", "internal", None)], "it may have been billed, so its cost is unknown"


async def test_a_call_that_takes_too_long_times_out_with_unknown_cost(given: Calling, rows: Rows) -> None:
    scope = rows.scope(rows.organization(_policy(PRICED)))
    with pytest.raises(CallRefused) as refused:
        await given.calls.call(scope, "scripted:demo", messages=question(), role="slow", timeout_seconds=0.2)
    assert refused.value.error.kind is ErrorKind.TIMEOUT and refused.value.maybe_billed
    assert _steps(rows, scope) == [("failed", "timeout", None)]


@pytest.mark.parametrize(("settings", "cost"), [(PRICED, None), (FREE, Decimal(0))])
async def test_a_cancelled_call_is_recorded_as_cancelled_and_frees_its_permit(
    given: Calling, rows: Rows, settings: ProviderSettings, cost: Decimal | None
) -> None:
    scope = rows.scope(rows.organization(_policy(settings)))
    task = asyncio.create_task(given.calls.call(scope, "scripted:demo", messages=question(), role="slow"))
    while not given.points.hits:  # noqa: ASYNC110 - the point has no event
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _steps(rows, scope) == [("failed", "cancelled", cost)]
    assert rows.run("SELECT count(*) FROM permit WHERE org_id = %s", scope.org_id) == [(0,)]


async def test_cancelled_at_any_moment_a_call_leaves_nothing_open(given: Calling, rows: Rows) -> None:
    org = rows.organization(_policy())
    scope = rows.scope(org)
    for moment in range(40):
        call = given.calls.call(
            scope.model_copy(update={"step_key": str(moment)}), "scripted:demo", messages=question(), role="coder"
        )
        task = asyncio.create_task(call)
        await asyncio.sleep(moment * 0.0002)
        task.cancel()
        await asyncio.wait({task})
    left = rows.run("SELECT count(*) FROM step WHERE org_id = %s AND status = 'running'", org)
    assert left == [(0,)]
    assert rows.run("SELECT count(*) FROM permit WHERE org_id = %s", org) == [(0,)]


class _AwayAtTheEnd(PostgresCallLedger):
    """A database that restarts just when answers are to be recorded."""

    failures = 2

    async def end_call(self, *args: object, **more: object) -> bool:
        if self.failures:
            self.failures -= 1
            raise Unavailable("restarting")
        return await super().end_call(*args, **more)  # type: ignore[arg-type]


async def test_a_paid_answer_waits_for_a_database_that_restarts(
    pool: Pool, provider: ModelProvider, rows: Rows
) -> None:
    given = calling(pool, {ProviderKind.SCRIPTED: provider}, ledger=_AwayAtTheEnd(Record(pool), worker="test"))
    scope = rows.scope(rows.organization(_policy()))
    answered = await given.calls.call(scope, "scripted:demo", messages=question(), role="coder")
    assert answered.reply.text == "the answer"
    assert _steps(rows, scope) == [("done", None, Decimal(0))]


async def test_a_call_taken_over_meanwhile_does_not_count(given: Calling, rows: Rows) -> None:
    scope = rows.scope(rows.organization(_policy()))
    task = asyncio.create_task(given.calls.call(scope, "scripted:demo", messages=question(), role="steady"))
    while not _steps(rows, scope):  # noqa: ASYNC110 - the condition lies in the database
        await asyncio.sleep(0.01)
    newer = scope.model_copy(update={"execution_id": uuid4()})
    assert scope.run_id and scope.attempt_id and newer.execution_id
    rows.next_execution(scope.org_id, scope.run_id, scope.attempt_id, newer.execution_id, 2)
    taken = await given.calls.call(newer, "scripted:demo", messages=question(), role="coder")
    assert taken.reply.text == "the answer" and not taken.repeated
    with pytest.raises(CallRefused) as fenced:
        await task
    assert fenced.value.error.kind is ErrorKind.WORKER_LOST
    assert [s[0] for s in _steps(rows, scope)] == ["lost", "done"]  # type: ignore[index]
    assert (await _refused(given, scope)).error.kind is ErrorKind.WORKER_LOST


class _Filtered:
    async def call(self, request: ModelRequest, settings: ProviderSettings) -> ModelReply:
        paid = ModelReply(text="", usage=TokenUsage(tokens_in=1_000_000, tokens_out=0))
        raise CallRefused(PhaseError(kind=ErrorKind.CONTENT_FILTERED, message="filtered"), reply=paid)


async def test_an_answer_that_cannot_be_used_is_paid_and_counted(pool: Pool, rows: Rows) -> None:
    given = calling(pool, {ProviderKind.SCRIPTED: _Filtered()})
    scope = rows.scope(rows.organization(_policy(PRICED)))
    refused = await _refused(given, scope)
    assert refused.reply is not None and refused.reply.usage.tokens_in == 1_000_000
    assert _steps(rows, scope) == [("failed", "content_filtered", Decimal(2))]
    assert rows.run("SELECT tokens_in, reply_sha256 FROM step WHERE org_id = %s", scope.org_id) == [(1_000_000, None)]


class _LoneSurrogate:
    async def call(self, request: ModelRequest, settings: ProviderSettings) -> ModelReply:
        return ModelReply(text="a\ud800b\x00c")


async def test_what_the_caller_sees_is_what_a_repeat_will_see(pool: Pool, rows: Rows) -> None:
    given = calling(pool, {ProviderKind.SCRIPTED: _LoneSurrogate()})
    scope = rows.scope(rows.organization(_policy()))
    first = await given.calls.call(scope, "scripted:demo", messages=question(), role="coder")
    again = await given.calls.call(scope, "scripted:demo", messages=question(), role="coder")
    assert first.reply.text == again.reply.text == "a?b\x00c" and again.repeated


async def test_the_organizations_models_are_read_again_after_a_moment(
    pool: Pool, provider: ModelProvider, rows: Rows
) -> None:
    now = 100.0
    given = calling(pool, {ProviderKind.SCRIPTED: provider}, clock=lambda: now)
    org = rows.organization(_policy(default_models={"default": "scripted:demo"}))
    assert (await given.calls.defaults(org)).policy.default_models["default"] == "scripted:demo"
    rows.policy(org, Policy(version=2, providers=(FREE,), default_models={"default": "scripted:other"}))
    now = 101.0
    assert (await given.calls.defaults(org)).policy.default_models["default"] == "scripted:demo", (
        "no round trip for each phase"
    )
    now = 103.0
    assert (await given.calls.defaults(org)).policy.default_models["default"] == "scripted:other"


def test_every_refusal_is_a_phase_error_with_a_way_out() -> None:
    error = PhaseError(kind=ErrorKind.TIMEOUT, message="late", hint="ask for less")
    assert str(CallRefused(error)) == "late" and CallRefused(error).maybe_billed is False


async def test_the_whole_wire_path(pool: Pool, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with endpoint() as fake, open_providers(scripts=tmp_path, secrets=_Secrets()) as providers:
        settings = ProviderSettings(
            name="local",
            kind=ProviderKind.OPENAI_COMPATIBLE,
            base_url=fake.base_url,
            credential="env:KEY",
            price_in_usd_per_million=Decimal(2),
            price_out_usd_per_million=Decimal(10),
        )
        given = calling(pool, providers)
        scope = rows.scope(rows.organization(_policy(settings, monthly_usd=Decimal(1))))
        answered = await given.calls.call(scope, "local:any/model", messages=question(), role="coder")
        assert (answered.reply.text, answered.cost_usd) == ("hello", Decimal("0.0004"))
        fake.answer = Answer.of({"error": {"message": f"bad key {PLANTED}"}}, 401)
        other = scope.model_copy(update={"step_key": "other"})
        refused = await _refused(given, other, model="local:any/model")
        assert refused.error.kind is ErrorKind.AUTHENTICATION
        assert PLANTED not in refused.error.model_dump_json()
    found = rows.run("SELECT * FROM step WHERE org_id = %s", scope.org_id)
    assert len(found) == 2 and PLANTED not in str(found)
    assert rows.run(
        "SELECT tokens_in, tokens_out, tokens_cached, model_asked, model_answered FROM step WHERE status = 'done'"
        " AND org_id = %s",
        scope.org_id,
    ) == [(100, 20, 40, "local:any/model", "answering-model")]


class _Secrets:
    def resolve(self, reference: str) -> str:
        return PLANTED


async def test_a_call_that_is_left_to_its_phase_is_recorded_where_the_phase_does_not_come_to_its_end(
    given: Calling, rows: Rows
) -> None:
    scope = rows.scope(rows.organization(_policy()))
    async with Settlement() as settlement:
        answered = await given.calls.call(
            scope, "scripted:demo", messages=question(), role="coder", settlement=settlement
        )
        assert _steps(rows, scope) == [("running", None, None)]
        end = settlement.end()
        assert end is not None and (end.step_id, end.body) == (answered.step_id, b"the answer")
    assert _steps(rows, scope) == [("done", None, Decimal(0))]
    repeated = await given.calls.call(scope, "scripted:demo", messages=question(), role="coder")
    assert (repeated.repeated, repeated.reply.text) == (True, "the answer")


async def test_a_call_that_its_phase_recorded_is_not_recorded_again(given: Calling, rows: Rows) -> None:
    scope = rows.scope(rows.organization(_policy()))
    async with Settlement() as settlement:
        await given.calls.call(scope, "scripted:demo", messages=question(), role="coder", settlement=settlement)
        settlement.recorded()
    assert _steps(rows, scope) == [("running", None, None)], "the phase's own transaction writes it, nobody else"


async def test_a_failed_call_is_never_left(given: Calling, rows: Rows) -> None:
    scope = rows.scope(rows.organization(_policy()))
    settlement = Settlement()
    with pytest.raises(CallRefused):
        await given.calls.call(scope, "scripted:demo", messages=question(), role="nobody", settlement=settlement)
    assert settlement.end() is None
    assert [status for status, *_ in _steps(rows, scope)] == ["failed"]
