"""Permits and their pools, the limits of model calls, the workers. System tables where a pool spans organizations."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, PrimaryKeyConstraint, Table
from sqlalchemy import text as sql

from adapters.store.tables.base import TENANT, metadata, moment, money, org_id, text, uuid

permit_pool = Table(
    "permit_pool",
    metadata,
    text("name", primary_key=True),
    Column("size", Integer, nullable=False),
)

permit = Table(
    "permit",
    metadata,
    text("pool"),
    uuid("holder"),
    uuid("token"),
    uuid("org_id", nullable=True),
    uuid("run_id", nullable=True),
    text("phase", nullable=True),
    Column("iteration", Integer),
    Column("attempt", Integer),
    uuid("execution_id", nullable=True),
    text("worker"),
    Column("cancel_requested", Boolean, nullable=False, server_default=sql("false")),
    moment("acquired_at"),
    moment("expires_at"),
    PrimaryKeyConstraint("pool", "holder"),
    Index(None, "token"),
    postgresql_with={"fillfactor": "50"},
)
"""A lease. The holder is an attempt (pool `executor`) or a step (a provider's pool). One that has expired does not
count, whether or not it was swept. `token` fences the holder's late writes.
`cancel_requested` is the run's flag, copied here so that one statement renews leases of many organizations."""

usage_counter = Table(
    "usage_counter",
    metadata,
    org_id(),
    text("scope"),
    moment("window_start"),
    Column("requests", BigInteger, nullable=False, server_default="0"),
    Column("tokens", BigInteger, nullable=False, server_default="0"),
    money("cost_usd", nullable=False, server_default="0"),
    PrimaryKeyConstraint("org_id", "scope", "window_start"),
    info=TENANT,
    postgresql_with={"fillfactor": "50"},
)
"""What was used in a window: `calls/<provider>` by second, `money/<0-7>` by month, `run/<id>` for the run's life
(migrations/sql/calls_0001)."""

reservation = Table(
    "reservation",
    metadata,
    uuid("step_id", primary_key=True),
    org_id(),
    uuid("run_id", nullable=True),
    text("provider"),
    money("usd"),
    Column("tokens", BigInteger, nullable=False, server_default="0"),
    moment("created_at"),
    moment("settled_at", nullable=True),
    Index(None, "org_id", "created_at", postgresql_where=sql("settled_at IS NULL")),
    Index(None, "run_id", postgresql_where=sql("settled_at IS NULL")),
    info=TENANT,
)
"""Money and tokens that a call may still use; counts until it is settled (a lost call's for good)."""

worker = Table(
    "worker",
    metadata,
    text("id", primary_key=True),
    text("host"),
    Column("pid", Integer, nullable=False),
    Column("slots", Integer, nullable=False),
    moment("started_at"),
    moment("seen_at"),
)
