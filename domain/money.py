"""Amounts of money in what leaves us."""

from decimal import Decimal
from typing import Annotated

from pydantic import PlainSerializer


def plain(amount: Decimal) -> str:
    """Digits alone: `0`, not `0E-10`; `100`, not `1E+2`."""
    return f"{amount.normalize():f}"


Usd = Annotated[Decimal, PlainSerializer(plain, return_type=str, when_used="json-unless-none")]
"""US dollars; in JSON a text of digits."""
