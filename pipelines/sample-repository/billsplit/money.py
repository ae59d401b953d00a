"""Amounts as text. Inside, an amount is a whole number of cents."""

import re

_AMOUNT = re.compile(r"(-?)(\d+)(?:\.(\d{2}))?")


def parse_cents(text: str) -> int:
    """Cents of "12", "12.30" or "-0.05". Raises ValueError for anything else."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"not an amount: {text!r}")
    sign, whole, cents = found.groups()
    amount = int(whole) * 100 + int(cents or 0)
    return -amount if sign else amount


def format_cents(amount: int) -> str:
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02d}"
