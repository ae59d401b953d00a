"""Policy, prices and terms: the pure decision before a call."""

from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.models.admission import Admitted, admit
from domain.models.messages import CallScope, Message, Speaker, TokenUsage
from domain.models.policy import Policy, ProviderKind, ProviderSettings, check
from domain.models.prices import Priced, cost_of, estimated_tokens_in, reservation
from domain.runs.failure import ErrorKind, PhaseError

SCOPE = CallScope(org_id=uuid4(), step_key="k")
MESSAGES = (Message(speaker=Speaker.USER, text="x" * 100),)


class _Table:
    """Knows `known` at a dollar a token."""

    def price(
        self,
        provider: ProviderSettings,
        model: str,
        *,
        tokens_in: int,
        tokens_out: int,
        tokens_cached: int,
        tokens_cache_written: int = 0,
    ) -> Priced | None:
        return Priced(usd=Decimal(tokens_in + tokens_out - tokens_cached), version="t1") if model == "known" else None


def _provider(**more: object) -> ProviderSettings:
    return ProviderSettings.model_validate({"name": "p", "kind": ProviderKind.OPENAI_COMPATIBLE} | more)


def _policy(provider: ProviderSettings, **more: object) -> Policy:
    return Policy.model_validate({"version": 4, "providers": (provider,)} | more)


def _admit(policy: Policy, model: str, scope: CallScope = SCOPE) -> Admitted | PhaseError:
    return admit(policy, _Table(), scope, model, MESSAGES, 1_000)


def test_terms_carry_the_policys_limits_and_the_reservation() -> None:
    provider = _provider(requests_per_minute=1, tokens_per_minute=2, concurrent=3)
    admitted = _admit(_policy(provider, monthly_usd=Decimal(9)), "p:known")
    assert isinstance(admitted, Admitted)
    terms = admitted.terms
    assert (terms.provider, terms.model, terms.policy_version) == ("p", "known", 4)
    assert (terms.requests_per_minute, terms.tokens_per_minute, terms.concurrent) == (1, 2, 3)
    assert (terms.monthly_usd, terms.reserve_tokens, terms.reserve_usd) == (Decimal(9), 1_058, Decimal(1_058))


@pytest.mark.parametrize(
    ("provider", "model", "says"),
    [
        (_provider(), "other:m", "no provider `other`"),
        (_provider(), "m", "no provider `m`"),
        (_provider(enabled=False), "p:m", "switched off"),
        (_provider(allowed_models=("gpt-*",)), "p:claude", "not allowed"),
        (_provider(denied_models=("gpt-4*",)), "p:gpt-4o", "not allowed"),
    ],
)
def test_what_the_policy_does_not_allow_is_blocked_with_a_way_out(
    provider: ProviderSettings, model: str, says: str
) -> None:
    blocked = check(_policy(provider), model)
    assert isinstance(blocked, PhaseError)
    assert blocked.kind is ErrorKind.POLICY_BLOCKED and says in blocked.message and blocked.hint


def test_model_names_with_colons_and_slashes_are_one_name() -> None:
    assert check(_policy(_provider(allowed_models=("a/b:free",))), "p:a/b:free") == _provider(
        allowed_models=("a/b:free",)
    )


@pytest.mark.parametrize(("organization", "run"), [(Decimal(1), None), (None, Decimal(1))])
def test_an_unpriced_model_is_refused_under_any_money_limit(organization: Decimal | None, run: Decimal | None) -> None:
    scope = SCOPE.model_copy(update={"run_usd": run})
    refused = _admit(_policy(_provider(), monthly_usd=organization), "p:unknown", scope)
    assert isinstance(refused, PhaseError) and refused.kind is ErrorKind.POLICY_BLOCKED
    assert "price_in_usd_per_million" in refused.hint
    stated = _provider(price_in_usd_per_million=Decimal(0), price_out_usd_per_million=Decimal(0))
    free = _admit(_policy(stated, monthly_usd=organization), "p:unknown", scope)
    assert isinstance(free, Admitted) and free.terms.reserve_usd == 0
    unlimited = _admit(_policy(_provider()), "p:unknown")
    assert isinstance(unlimited, Admitted) and unlimited.terms.reserve_usd is None


PRICED = _provider(price_in_usd_per_million=Decimal(2), price_out_usd_per_million=Decimal(10))
FREE = _provider(price_in_usd_per_million=Decimal(0), price_out_usd_per_million=Decimal(0))
HALF = _provider(price_in_usd_per_million=Decimal(2))


@pytest.mark.parametrize(
    ("provider", "models", "usage", "expected"),
    [
        (PRICED, ("known",), TokenUsage(tokens_in=5, tokens_out=2, billed_usd=Decimal(0)), (Decimal(0), "billed")),
        (PRICED, ("known",), TokenUsage(tokens_in=5, tokens_out=2, tokens_cached=1), (Decimal(6), "t1")),
        (PRICED, ("new", "known"), TokenUsage(tokens_in=5, tokens_out=2), (Decimal(7), "t1")),
        (PRICED, ("new",), TokenUsage(tokens_in=1_000, tokens_out=100), (Decimal("0.003"), "policy v4")),
        (PRICED, ("new",), TokenUsage(tokens_in=1_000), None),
        (PRICED, ("known",), TokenUsage(), None),
        (FREE, ("new",), TokenUsage(), (Decimal(0), "policy v4")),
        (HALF, ("new",), TokenUsage(tokens_in=1, tokens_out=1), None),
        (_provider(), ("new",), TokenUsage(tokens_in=1, tokens_out=1), None),
    ],
)
def test_cost_is_billed_then_table_then_policy_then_unknown(
    provider: ProviderSettings, models: tuple[str, ...], usage: TokenUsage, expected: tuple[Decimal, str] | None
) -> None:
    found = cost_of(_Table(), provider, models, usage, policy_version=4)
    assert (None if found is None else (found.usd, found.version)) == expected


@given(st.text(max_size=300), st.integers(0, 1_000))
def test_a_reservation_covers_what_at_most_a_token_per_two_bytes_costs(text: str, tokens_out: int) -> None:
    messages = (Message(speaker=Speaker.USER, text=text),)
    estimate = estimated_tokens_in(messages)
    assert estimate * 2 >= len(text.encode("utf-8", "replace"))
    reserved = reservation(_Table(), PRICED, "new", estimate, tokens_out, policy_version=4)
    used = TokenUsage(tokens_in=estimate, tokens_out=tokens_out)
    cost = cost_of(_Table(), PRICED, ("new",), used, policy_version=4)
    assert reserved is not None and cost is not None and reserved >= cost.usd
