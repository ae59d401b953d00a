"""Totals kept as deltas by the writers and folded in the background: no run updates a row that other runs update.

System tables: folding spans organizations, and they hold counts only. Every reader names the organization.
"""

from enum import StrEnum

from sqlalchemy import BigInteger, Column, Identity, PrimaryKeyConstraint, Table

from adapters.store.tables.base import metadata, one_of, org_id, seconds, text


class TallyName(StrEnum):
    RUNS = "runs"
    """a: status."""
    PHASE_FAILURES = "phase_failures"
    """a: phase, b: error kind."""
    PHASE_SECONDS = "phase_seconds"
    """a: phase kind, b: index of the latency bucket; `seconds` is their sum."""


tally = Table(
    "tally",
    metadata,
    org_id(),
    text("name"),
    text("a"),
    text("b"),
    Column("amount", BigInteger, nullable=False),
    seconds("seconds"),
    PrimaryKeyConstraint("org_id", "name", "a", "b"),
    one_of("name", TallyName),
)

tally_delta = Table(
    "tally_delta",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    org_id(),
    text("name"),
    text("a"),
    text("b", server_default=""),
    Column("amount", BigInteger, nullable=False),
    seconds("seconds", server_default="0"),
    one_of("name", TallyName),
)
