"""Splits a bill by weights, in whole cents."""

from billsplit.money import format_cents, parse_cents
from billsplit.split import split

__all__ = ["format_cents", "parse_cents", "split"]
