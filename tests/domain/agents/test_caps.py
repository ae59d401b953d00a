"""Caps hold: no sequence of calls goes over them by more than what one call was not known to cost."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.agents.caps import CallCost, Cap, Caps, Spent, hit, output_room, spent

PRICES = st.decimals(min_value=0, max_value=2, places=3)


@given(st.integers(1, 20), st.lists(st.integers(1, 500), min_size=30, max_size=30), st.integers(100, 3_000))
def test_tokens_and_turns_are_never_overshot(turns: int, inputs: list[int], tokens: int) -> None:
    caps = Caps(turns=turns, tokens=tokens, seconds=60)
    calls: list[CallCost] = []
    for tokens_in in inputs:
        used = spent(len(calls), calls, 0.0)
        over = hit(caps, used, tokens_in)
        if over is not None:
            assert over.message
            break
        room = output_room(caps, used, tokens_in, 10_000)
        calls.append(CallCost(tokens_in=tokens_in, tokens_out=room, cost_usd=Decimal(0)))
    assert len(calls) <= turns
    assert sum(call.tokens for call in calls) <= tokens


@given(st.lists(PRICES, min_size=40, max_size=40), st.decimals(min_value="0.01", max_value=10, places=2))
def test_money_is_overshot_by_no_more_than_one_dearer_call(prices: list[Decimal], cap: Decimal) -> None:
    caps, calls = Caps(turns=1_000, cost_usd=cap, seconds=60), list[CallCost]()
    for price in prices:
        if hit(caps, spent(len(calls), calls, 0.0), 1) is not None:
            break
        calls.append(CallCost(tokens_in=1, tokens_out=1, cost_usd=price))
    paid = [call.cost_usd or Decimal(0) for call in calls]
    assert sum(paid[:-1], Decimal(0)) < cap
    if paid and paid[-1] <= max(paid[:-1], default=Decimal(0)):
        assert sum(paid) < cap, "a call no dearer than those before never goes over it"


def test_an_unknown_cost_ends_a_phase_with_a_cap_on_money() -> None:
    used = spent(1, [CallCost(tokens_in=1, tokens_out=1)], 1.0)
    assert used.cost_usd is None
    over = hit(Caps(turns=9, cost_usd=Decimal(1), seconds=60), used, 1)
    assert over is not None and over.cap is Cap.COST and "unknown" in over.message
    assert hit(Caps(turns=9, seconds=60), used, 1) is None


def test_time_comes_first() -> None:
    over = hit(Caps(turns=1, tokens=1, seconds=5), Spent(turns=9, tokens=9, seconds=5.0), 9)
    assert over is not None and over.cap is Cap.TIME


@given(st.integers(0, 9))
def test_calls_that_were_lost_count_like_the_dearest(lost: int) -> None:
    calls = [
        CallCost(tokens_in=10, tokens_out=0, cost_usd=Decimal("0.10")),
        CallCost(tokens_in=30, cost_usd=Decimal(0)),
    ]
    used = spent(2, calls, 0.0, unknown_calls=lost)
    assert (used.tokens, used.cost_usd) == (40 + 30 * lost, Decimal("0.10") * (1 + lost))
    assert (hit(Caps(turns=9, cost_usd=Decimal("0.55"), seconds=60), used, 1) is not None) == (lost >= 4)
