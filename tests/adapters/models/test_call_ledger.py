"""begin_call and end_call on a real PostgreSQL: limits that hold under contention, repeats, lost calls, isolation."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from adapters.store.calls import PostgresCallLedger
from adapters.store.database import Database as Record
from adapters.store.database import Pool
from domain.errors import Unavailable
from domain.models.messages import CallScope, CallTimes, ModelReply, TokenUsage
from domain.models.policy import Policy, ProviderKind, ProviderSettings
from domain.models.ports import (
    BeginOutcome,
    BegunCall,
    CallFenced,
    CallMustWait,
    CallTerms,
    MoneyRefused,
    PolicyChanged,
    RepeatedCall,
)
from domain.runs.failure import ErrorKind, PhaseError
from tests.support.call_rows import Rows, call_pool
from tests.support.databases import Database

POLICY = Policy(
    version=1,
    providers=(ProviderSettings(name="scripted", kind=ProviderKind.SCRIPTED),),
    monthly_usd=Decimal("10"),
)
TIMES = CallTimes(queue_seconds=0.1, api_seconds=0.2, run_seconds=0.3)
REPLY = ModelReply(
    text="hello",
    usage=TokenUsage(tokens_in=100, tokens_out=20, tokens_cached=40),
    model_answered="demo-2025",
    provider_response_id="resp-1",
)
FAILURE = PhaseError(kind=ErrorKind.RATE_LIMITED, message="slow \x00down", excerpt="lone \ud800 surrogate")


@pytest.fixture
def rows(module_database: Database) -> Rows:
    return Rows(module_database)


@pytest.fixture
async def pool(module_database: Database) -> AsyncIterator[Pool]:
    async with call_pool(module_database) as pool:
        yield pool


@pytest.fixture
def ledger(pool: Pool) -> PostgresCallLedger:
    return PostgresCallLedger(Record(pool), worker="test")


def _terms(**more: Any) -> CallTerms:
    return CallTerms(**({"provider": "scripted", "model": "demo", "policy_version": 1} | more))


async def _begin(ledger: PostgresCallLedger, scope: CallScope, **terms: Any) -> BeginOutcome:
    return await ledger.begin_call(scope, _terms(**terms), waited_seconds=lambda: 0.05)


async def _begun(ledger: PostgresCallLedger, scope: CallScope, **terms: Any) -> BegunCall:
    outcome = await _begin(ledger, scope, **terms)
    assert isinstance(outcome, BegunCall), outcome
    return outcome


async def _end(
    ledger: PostgresCallLedger,
    scope: CallScope,
    call: BegunCall,
    *,
    reply: ModelReply | None = REPLY,
    cost: Decimal | None = Decimal("0.5"),
    error: PhaseError | None = None,
) -> bool:
    return await ledger.end_call(
        scope,
        call,
        times=lambda: TIMES,
        reply=reply,
        reply_sha256="ab" * 32 if error is None else None,
        body=b"hello" if error is None else None,
        cost_usd=cost,
        price_version="policy v1" if cost is not None else None,
        error=error,
    )


def _alone(rows: Rows, org: Any, key: str = "call") -> CallScope:
    """A call outside a run (a probe, an experiment)."""
    return CallScope(org_id=org, step_key=key)


async def test_the_step_is_there_before_the_call_and_complete_after_it(ledger: PostgresCallLedger, rows: Rows) -> None:
    scope = rows.scope(rows.organization(POLICY), title="coder #1")
    call = await _begun(ledger, scope)
    before = rows.run(
        "SELECT status, kind, title, model_asked, run_id, attempt_id, execution_id, tokens_in, cost_usd,"
        " extract(epoch FROM clock_timestamp() - started_at) < 60 FROM step WHERE id = %s",
        call.step_id,
    )
    ids = (scope.run_id, scope.attempt_id, scope.execution_id)
    assert before == [("running", "model_call", "coder #1", "scripted:demo", *ids, None, None, True)]
    assert rows.run("SELECT count(*) FROM permit WHERE holder = %s AND token = %s", call.step_id, call.token) == [(1,)]
    assert await _end(ledger, scope, call) is True
    after = rows.run(
        "SELECT status, queue_seconds, api_seconds, run_seconds >= 0.3, tokens_in, tokens_out, tokens_cached, cost_usd,"
        " price_version, model_answered, provider_response_id, reply_sha256, reply_body, ended_at >= started_at"
        " FROM step WHERE id = %s",
        call.step_id,
    )
    answer = ("demo-2025", "resp-1", "ab" * 32, b"hello")
    assert after == [("done", 0.1, 0.2, True, 100, 20, 40, Decimal("0.5"), "policy v1", *answer, True)]
    assert rows.run("SELECT count(*) FROM permit WHERE holder = %s", call.step_id) == [(0,)]


async def test_an_answered_call_is_found_again_by_a_later_execution(ledger: PostgresCallLedger, rows: Rows) -> None:
    scope = rows.scope(rows.organization(POLICY))
    call = await _begun(ledger, scope)
    await _end(ledger, scope, call)
    later = scope.model_copy(update={"execution_id": uuid4()})
    assert scope.run_id and scope.attempt_id and later.execution_id
    rows.next_execution(scope.org_id, scope.run_id, scope.attempt_id, later.execution_id, 2)
    again = await _begin(ledger, later)
    assert again == RepeatedCall(
        step_id=call.step_id,
        reply_sha256="ab" * 32,
        body=b"hello",
        cost_usd=Decimal("0.5"),
        price_version="policy v1",
        model_answered="demo-2025",
        provider_response_id="resp-1",
        tokens_in=100,
        tokens_out=20,
        tokens_cached=40,
    )
    assert isinstance(await _begin(ledger, later.model_copy(update={"step_key": "turn-1/call-2"})), BegunCall)
    assert rows.run("SELECT count(*) FROM step WHERE attempt_id = %s", scope.attempt_id) == [(2,)]


async def test_a_failed_call_may_be_made_again_and_keeps_its_error(ledger: PostgresCallLedger, rows: Rows) -> None:
    scope = rows.scope(rows.organization(POLICY))
    call = await _begun(ledger, scope)
    assert await _end(ledger, scope, call, reply=None, cost=Decimal(0), error=FAILURE) is True
    assert isinstance(await _begin(ledger, scope), BegunCall)
    status, error, tokens = rows.run("SELECT status, error, tokens_in FROM step WHERE id = %s", call.step_id)[0]
    assert (status, error["kind"], error["message"], tokens) == ("failed", "rate_limited", "slow down", None)


async def test_a_fenced_execution_begins_nothing(ledger: PostgresCallLedger, rows: Rows) -> None:
    scope = rows.scope(rows.organization(POLICY))
    assert scope.run_id and scope.attempt_id
    rows.next_execution(scope.org_id, scope.run_id, scope.attempt_id, uuid4(), 2)
    assert await _begin(ledger, scope) == CallFenced()
    assert rows.run("SELECT count(*) FROM step WHERE attempt_id = %s", scope.attempt_id) == [(0,)]


async def test_a_lost_call_keeps_its_reservation_until_its_cost_is_known(
    ledger: PostgresCallLedger, rows: Rows
) -> None:
    scope = rows.scope(rows.organization(POLICY))
    limits = {"monthly_usd": Decimal("10"), "reserve_usd": Decimal("6"), "reserve_tokens": 100}
    lost = await _begun(ledger, scope, **limits)
    later = scope.model_copy(update={"execution_id": uuid4()})
    assert scope.run_id and scope.attempt_id and later.execution_id
    rows.next_execution(scope.org_id, scope.run_id, scope.attempt_id, later.execution_id, 2)

    refused = await _begin(ledger, later, **limits)
    assert isinstance(refused, MoneyRefused) and refused.limit == "monthly_usd"
    assert "$6.0000 of the organization's $10.0000" in refused.message
    assert rows.run("SELECT status, cost_usd FROM step WHERE id = %s", lost.step_id) == [("lost", None)]
    assert rows.run("SELECT count(*) FROM permit WHERE holder = %s", lost.step_id) == [(0,)]

    smaller = await _begun(ledger, later, **(limits | {"reserve_usd": Decimal("4")}))
    assert await _end(ledger, later, smaller, cost=Decimal("0.5"))
    assert isinstance(await _begin(ledger, _alone(rows, scope.org_id), **limits), MoneyRefused)

    assert await _end(ledger, scope, lost, cost=Decimal("1")) is False, "a late answer is not taken"
    assert rows.run("SELECT status, cost_usd, reply_body FROM step WHERE id = %s", lost.step_id) == [
        ("lost", Decimal("1"), None)
    ]
    await _begun(ledger, _alone(rows, scope.org_id), **limits)


async def test_an_unknown_cost_keeps_the_reservation_and_stays_null(ledger: PostgresCallLedger, rows: Rows) -> None:
    org = rows.organization(POLICY)
    limits = {"monthly_usd": Decimal("10"), "reserve_usd": Decimal("6"), "reserve_tokens": 100}
    call = await _begun(ledger, _alone(rows, org), **limits)
    cut_off = PhaseError(kind=ErrorKind.CONNECTION, message="cut")
    assert await _end(ledger, _alone(rows, org), call, reply=None, cost=None, error=cut_off)
    assert rows.run("SELECT cost_usd FROM step WHERE id = %s", call.step_id) == [(None,)]
    assert isinstance(await _begin(ledger, _alone(rows, org), **limits), MoneyRefused)


async def test_end_call_may_be_said_twice(ledger: PostgresCallLedger, rows: Rows) -> None:
    scope = rows.scope(rows.organization(POLICY))
    call = await _begun(ledger, scope, monthly_usd=Decimal(10), reserve_usd=Decimal(1))
    assert await _end(ledger, scope, call, cost=Decimal(3)) is True
    assert await _end(ledger, scope, call, cost=Decimal(3)) is True
    spent = rows.run(
        "SELECT sum(cost_usd) FROM usage_counter WHERE org_id = %s AND scope LIKE 'money/%%'", scope.org_id
    )
    assert spent == [(Decimal(3),)]


async def test_begin_call_may_be_said_twice(rows: Rows, pool: Pool) -> None:
    """A connection that dies between commit and answer: the same call is begun, not a second one."""
    org = rows.organization(POLICY)
    for scope in (rows.scope(org), _alone(rows, org)):
        id_of_both = uuid4()
        ledger = PostgresCallLedger(Record(pool), worker="test", step_ids=[id_of_both, id_of_both].pop)
        first = await _begun(ledger, scope, requests_per_minute=10)
        assert (await _begun(ledger, scope, requests_per_minute=10)).step_id == first.step_id
        assert rows.run("SELECT status FROM step WHERE id = %s", first.step_id) == [("running",)]
    assert rows.run("SELECT sum(requests) FROM usage_counter WHERE org_id = %s", org) == [(2,)]


async def test_a_dead_connection_costs_the_caller_nothing(
    ledger: PostgresCallLedger, rows: Rows, module_database: Database
) -> None:
    org = rows.organization(POLICY)
    await _begun(ledger, _alone(rows, org))
    rows.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'millwright_app' AND datname = %s",
        module_database.name,
    )
    await _begun(ledger, _alone(rows, org))


async def test_the_policy_version_is_compared_and_the_new_one_comes_back(
    ledger: PostgresCallLedger, rows: Rows
) -> None:
    org = rows.organization(POLICY)
    newer = POLICY.model_copy(update={"version": 2, "providers": ()})
    assert await ledger.policy(org) == POLICY
    rows.policy(org, newer)
    assert await _begin(ledger, _alone(rows, org)) == PolicyChanged(policy=newer)
    assert await ledger.policy(org) == newer
    without = rows.organization()
    assert await ledger.policy(without) == Policy(version=0)
    assert await _begin(ledger, _alone(rows, without)) == PolicyChanged(policy=Policy(version=0))


async def _fifty(ledger: PostgresCallLedger, org: Any, **terms: Any) -> list[BeginOutcome]:
    scopes = [CallScope(org_id=org, step_key=str(n)) for n in range(50)]
    return await asyncio.gather(*(_begin(ledger, scope, **terms) for scope in scopes))


@pytest.mark.parametrize(
    ("limits", "let_through", "refusal"),
    [
        ({"requests_per_minute": 7}, 7, CallMustWait),
        ({"tokens_per_minute": 1_000, "reserve_tokens": 300}, 3, CallMustWait),
        ({"concurrent": 4}, 4, CallMustWait),
        ({"monthly_usd": Decimal("10"), "reserve_usd": Decimal("3")}, 3, MoneyRefused),
    ],
)
async def test_fifty_at_once_never_overshoot_a_limit(
    ledger: PostgresCallLedger, rows: Rows, limits: dict[str, Any], let_through: int, refusal: type[Any]
) -> None:
    org = rows.organization(POLICY)
    outcomes = await _fifty(ledger, org, **limits)
    assert sum(isinstance(o, BegunCall) for o in outcomes) == let_through
    refused = [o for o in outcomes if not isinstance(o, BegunCall)]
    assert all(isinstance(o, refusal) for o in refused)
    assert rows.run("SELECT count(*) FROM step WHERE org_id = %s", org) == [(let_through,)]
    assert isinstance(await _begin(ledger, _alone(rows, org), **(limits | {"provider": "other"})), BegunCall) is (
        refusal is CallMustWait
    ), "provider limits are the provider's, money is the organization's"


@pytest.mark.parametrize(
    ("limit", "terms", "let_through", "says"),
    [
        ({"run_tokens": 1_000}, {"reserve_tokens": 300}, 3, "900 of the run's 1000"),
        ({"run_usd": Decimal(2)}, {"reserve_usd": Decimal("0.5")}, 4, "$2.0000 of the run's $2.0000"),
    ],
)
async def test_the_runs_own_limits_hold_under_contention(
    ledger: PostgresCallLedger, rows: Rows, limit: dict[str, Any], terms: dict[str, Any], let_through: int, says: str
) -> None:
    scope = rows.scope(rows.organization(POLICY), **limit)
    scopes = [scope.model_copy(update={"step_key": f"call-{n}"}) for n in range(50)]
    outcomes = await asyncio.gather(*(_begin(ledger, s, **terms) for s in scopes))
    begun = [(s, o) for s, o in zip(scopes, outcomes, strict=True) if isinstance(o, BegunCall)]
    assert len(begun) == let_through
    refused = [o for o in outcomes if isinstance(o, MoneyRefused)]
    assert len(refused) == 50 - let_through and says in refused[0].message
    for its_scope, call in begun:
        await _end(ledger, its_scope, call, cost=Decimal("0.01"))
    more = await _begin(ledger, scope.model_copy(update={"step_key": "more"}), **terms)
    assert isinstance(more, BegunCall), "settled calls count with what they used, not with what was reserved"


async def test_a_token_window_counts_what_was_used_once_it_is_known(ledger: PostgresCallLedger, rows: Rows) -> None:
    org = rows.organization(POLICY)
    limits = {"tokens_per_minute": 1_000, "reserve_tokens": 800}
    call = await _begun(ledger, _alone(rows, org), **limits)
    waiting = await _begin(ledger, _alone(rows, org), **limits)
    assert isinstance(waiting, CallMustWait)
    assert 55 < waiting.seconds <= 61.1 and "tokens_per_minute" in waiting.reason
    await _end(ledger, _alone(rows, org), call)
    assert isinstance(await _begin(ledger, _alone(rows, org), **limits), BegunCall)


async def test_a_call_too_big_for_the_window_is_refused_not_put_off_for_ever(
    ledger: PostgresCallLedger, rows: Rows
) -> None:
    org = rows.organization(POLICY)
    outcome = await _begin(ledger, _alone(rows, org), tokens_per_minute=100, reserve_tokens=101)
    assert isinstance(outcome, MoneyRefused) and outcome.limit == "tokens_per_minute"


async def test_old_windows_do_not_count(ledger: PostgresCallLedger, rows: Rows) -> None:
    org = rows.organization(POLICY)
    await _begun(ledger, _alone(rows, org), requests_per_minute=1)
    assert isinstance(await _begin(ledger, _alone(rows, org), requests_per_minute=1), CallMustWait)
    rows.run("UPDATE usage_counter SET window_start = window_start - interval '62 s' WHERE org_id = %s", org)
    await _begun(ledger, _alone(rows, org), requests_per_minute=1)


async def test_an_expired_permit_does_not_count_and_cannot_be_renewed(ledger: PostgresCallLedger, rows: Rows) -> None:
    org = rows.organization(POLICY)
    scope = _alone(rows, org)
    call = await _begun(ledger, scope, concurrent=1)
    assert await ledger.renew_call(scope, call) is True
    assert isinstance(await _begin(ledger, scope, concurrent=1), CallMustWait)
    rows.run("UPDATE permit SET expires_at = now() - interval '1 s' WHERE holder = %s", call.step_id)
    assert await ledger.renew_call(scope, call) is False
    await _begun(ledger, scope, concurrent=1)


async def test_one_organization_neither_sees_nor_ends_anothers_call(
    ledger: PostgresCallLedger, rows: Rows, pool: Pool
) -> None:
    mine, other = rows.scope(rows.organization(POLICY)), rows.organization(POLICY)
    call = await _begun(ledger, mine)
    theirs = CallScope(org_id=other, step_key=mine.step_key, attempt_id=mine.attempt_id)
    assert await _end(ledger, theirs, call) is False
    assert await ledger.renew_call(theirs, call) is False
    await _end(ledger, mine, call)
    assert isinstance(await _begin(ledger, theirs), CallMustWait | BegunCall), "the answer is not theirs"
    async with pool.connection() as connection:
        seen = await (await connection.execute("SELECT count(*) FROM step")).fetchone()
    assert seen == (0,), "the organization is set for one statement only"


async def test_a_database_that_is_gone_is_unavailable(module_database: Database) -> None:
    gone = Database(module_database.name, "", module_database.app_url.replace(module_database.name, "no_such"))
    async with call_pool(gone) as pool:
        pool.timeout = 1.0
        with pytest.raises(Unavailable, match="PostgreSQL did not answer"):
            await PostgresCallLedger(Record(pool), worker="test").policy(uuid4())
