"""Agents: the segments of their conversations, and the sessions of external ones."""

from sqlalchemy import BigInteger, Column, Index, Integer, PrimaryKeyConstraint, Table

from adapters.store.tables.base import TENANT, document, metadata, moment, org_id, text, uuid

agent_segment = Table(
    "agent_segment",
    metadata,
    org_id(),
    uuid("run_id"),
    uuid("attempt_id"),
    Column("number", Integer, nullable=False),
    Column("turn", Integer, nullable=False),
    uuid("execution_id"),
    text("tree"),
    text("sha256"),
    Column("size_bytes", BigInteger, nullable=False),
    text("body", nullable=True),
    moment("created_at"),
    PrimaryKeyConstraint("attempt_id", "number"),
    Index(None, "run_id"),
    info=TENANT,
)
"""Append-only. `body` holds a small segment, the artifact store a big one (by `sha256`). `execution_id` may name an
execution that turned out to be none (a wait)."""

agent_session = Table(
    "agent_session",
    metadata,
    uuid("attempt_id", primary_key=True),
    org_id(),
    text("executor"),
    text("session_id"),
    document("data"),
    moment("changed_at"),
    info=TENANT,
)
"""By which an external agent goes on where it was."""
