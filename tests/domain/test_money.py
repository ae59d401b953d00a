"""Amounts are told in digits."""

from decimal import Decimal

import pytest

from domain.runs.views import UsageView


@pytest.mark.parametrize(
    ("amount", "told"), [("0.0000000000", "0"), ("1E+2", "100"), ("0.00012300", "0.000123"), ("-0.5", "-0.5")]
)
def test_an_amount_is_written_in_digits_alone(amount: str, told: str) -> None:
    usage = UsageView(cost_usd=Decimal(amount), known_cost_usd=Decimal(amount))
    assert usage.model_dump(mode="json")["cost_usd"] == told
    assert f'"known_cost_usd":"{told}"' in usage.model_dump_json()
    assert UsageView.model_validate_json(usage.model_dump_json()) == usage
    assert UsageView(cost_usd=None).model_dump(mode="json")["cost_usd"] is None
