"""What is told of a run: events, live output, bodies, and what was asked of it."""

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, PrimaryKeyConstraint, Table
from sqlalchemy import text as sql

from adapters.store.tables.base import TENANT, document, metadata, moment, one_of, org_id, text, uuid
from domain.runs.words import EventType, RequestKind, RequestStatus

run_event = Table(
    "run_event",
    metadata,
    uuid("run_id"),
    Column("seq", BigInteger, nullable=False),
    org_id(),
    text("type"),
    moment("at"),
    Column("iteration", Integer),
    text("phase", nullable=True),
    Column("attempt", Integer),
    Column("execution", Integer),
    text("actor", nullable=True),
    document("data", server_default="{}"),
    PrimaryKeyConstraint("run_id", "seq"),
    one_of("type", EventType),
    info=TENANT,
)
"""Append-only: the application role may not update or delete. `seq` has no holes."""

output_chunk = Table(
    "output_chunk",
    metadata,
    uuid("run_id"),
    Column("execution_ordinal", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),
    org_id(),
    text("text"),
    moment("at"),
    PrimaryKeyConstraint("run_id", "execution_ordinal", "seq"),
    info=TENANT,
)
"""No foreign key: a chunk must not touch the row of its run or execution."""

artifact = Table(
    "artifact",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    org_id(),
    uuid("run_id"),
    uuid("attempt_id"),
    text("name"),
    text("sha256"),
    Column("size_bytes", BigInteger, nullable=False),
    text("media_type"),
    moment("created_at"),
    Index(None, "attempt_id"),
    Index(None, "org_id", "sha256"),
    Index(None, "run_id"),
    info=TENANT,
)

request = Table(
    "request",
    metadata,
    uuid("id", primary_key=True),
    org_id(),
    uuid("run_id"),
    text("kind"),
    text("status"),
    document("payload", server_default="{}"),
    text("actor"),
    text("problem", nullable=True),
    text("idempotency_key", nullable=True),
    text("body_sha256", nullable=True),
    moment("created_at"),
    moment("sent_at", nullable=True),
    moment("settled_at", nullable=True),
    one_of("kind", RequestKind),
    one_of("status", RequestStatus),
    Index(None, "run_id"),
    Index(
        "uq_request_idempotency_key",
        "org_id",
        "idempotency_key",
        unique=True,
        postgresql_where=sql("idempotency_key IS NOT NULL"),
    ),
    info=TENANT,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    org_id(),
    uuid("run_id"),
    uuid("request_id"),
    text("kind"),
    text("workflow_id"),
    Column("priority", Integer, nullable=False),
    moment("due_at"),
    Column("tries", Integer, nullable=False, server_default="0"),
    text("last_problem", nullable=True),
    moment("created_at"),
    one_of("kind", RequestKind),
    Index(None, "due_at"),
    Index(None, "run_id", "id"),
)
"""System table: the relay serves all organizations. A row is deleted when Temporal has it; its request stays."""
