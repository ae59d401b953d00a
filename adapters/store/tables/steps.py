"""Steps: one model call, tool call, command or effect each, written before it happens."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table
from sqlalchemy import text as sql

from adapters.store.tables.base import (
    TENANT,
    document,
    metadata,
    moment,
    money,
    one_of,
    org_id,
    seconds,
    text,
    uuid,
)
from domain.runs.words import Effect, StepKind, StepStatus

step = Table(
    "step",
    metadata,
    uuid("id", primary_key=True),
    org_id(),
    uuid("run_id", nullable=True),
    uuid("attempt_id", nullable=True),
    uuid("execution_id", ForeignKey("execution.id", ondelete="SET NULL"), nullable=True),
    text("key"),
    text("kind"),
    text("title"),
    text("effect"),
    text("status"),
    moment("started_at"),
    moment("ended_at", nullable=True),
    seconds("queue_seconds", nullable=True),
    seconds("api_seconds", nullable=True),
    seconds("run_seconds", nullable=True),
    Column("exit_code", Integer),
    text("signal", nullable=True),
    document("error", nullable=True),
    text("tail", server_default=""),
    text("provider", nullable=True),
    text("model_asked", nullable=True),
    text("model_answered", nullable=True),
    Column("tokens_in", BigInteger),
    Column("tokens_out", BigInteger),
    Column("tokens_cached", BigInteger),
    money("cost_usd"),
    text("price_version", nullable=True),
    text("reply_sha256", nullable=True),
    Column("reply_body", LargeBinary),
    text("provider_response_id", nullable=True),
    one_of("kind", StepKind),
    one_of("effect", Effect),
    one_of("status", StepStatus),
    Index(None, "execution_id"),
    Index(None, "run_id", "started_at"),
    Index(
        "uq_step_attempt_key",
        "attempt_id",
        "key",
        unique=True,
        postgresql_where=sql("status IN ('running', 'done')"),
    ),
    info=TENANT,
    postgresql_with={"fillfactor": "80"},
)
"""Numbers are null until they are known; a lost step's cost stays null. `execution_id` is null when its execution
turned out to be none (a wait). `reply_body` holds a small reply, the artifact store a big one."""
