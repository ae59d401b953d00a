"""Numbers as people read them; unknown is never zero."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from api.web import format


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "unknown"),
        (0.34, "340ms"),
        (4.25, "4.2s"),
        (42.9, "42s"),
        (150, "2m 30s"),
        (11_100, "3h 05m"),
        (187_200, "2d 4h"),
    ],
)
def test_duration(seconds: float | None, shown: str) -> None:
    assert format.duration(seconds) == shown


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (None, "unpriced"),
        (Decimal(0), "$0"),
        (Decimal("0.0042"), "$0.0042"),
        (Decimal("0.25"), "$0.25"),
        (Decimal("0.0000001"), "<$0.000001"),
        (Decimal("1234.5"), "$1,234.50"),
    ],
)
def test_money(usd: Decimal | None, shown: str) -> None:
    assert format.money(usd) == shown


def test_unknown_money_can_be_called_unknown() -> None:
    assert format.money(None, unknown="unknown") == "unknown"


@pytest.mark.parametrize(
    ("number", "shown"), [(None, "unknown"), (0, "0"), (999, "999"), (1_234, "1.2k"), (3_400_000, "3.4M")]
)
def test_count(number: int | None, shown: str) -> None:
    assert format.count(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(1, "just now"), (12, "12s ago"), (300, "5m ago"), (7300, "2h ago"), (200_000, "2d ago")]
)
def test_ago(seconds: int, shown: str) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert format.ago(now - timedelta(seconds=seconds), now) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run `up` <b>", "run <code>up</code> &lt;b&gt;"),
        ("`<i>`", "<code>&lt;i&gt;</code>"),
        ("a ` b", "a ` b"),
        ("", ""),
    ],
)
def test_backticks_become_code(text: str, shown: str) -> None:
    assert format.ticks(text) == shown
