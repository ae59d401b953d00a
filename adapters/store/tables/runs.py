"""Runs, their attempts and executions."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, UniqueConstraint
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
from domain.pipelines.spec import PhaseKind
from domain.runs.words import AttemptCause, ExecutionStatus, OutcomeKind, PhaseStatus, RunStatus, WaitReason


def _usage() -> tuple[Column[object], ...]:
    """Sums over the model calls below it. `cost_usd` is null as soon as one part is unknown; `known_cost_usd` is
    the rest."""
    return (
        Column("tokens_in", BigInteger, nullable=False, server_default="0"),
        Column("tokens_out", BigInteger, nullable=False, server_default="0"),
        Column("tokens_cached", BigInteger, nullable=False, server_default="0"),
        money("cost_usd", server_default="0"),
        money("known_cost_usd", nullable=False, server_default="0"),
        seconds("api_seconds", server_default="0"),
    )


run = Table(
    "run",
    metadata,
    uuid("id", primary_key=True),
    org_id(),
    text("status"),
    text("outcome_kind", nullable=True),
    text("outcome_detail", nullable=True),
    document("error", nullable=True),
    document("protected_changed", server_default="[]"),
    text("title"),
    document("task"),
    document("settings"),
    uuid("pipeline_version_id", ForeignKey("pipeline_version.id")),
    text("pipeline_name"),
    uuid("workspace_id", ForeignKey("workspace.id"), nullable=True),
    text("workspace_name", nullable=True),
    text("base_commit", nullable=True),
    text("base_tree", nullable=True),
    text("branch", nullable=True),
    text("delivered_branch", nullable=True),
    text("workflow_id"),
    text("workflow_run_id", nullable=True),
    text("actor"),
    moment("created_at"),
    moment("started_at", nullable=True),
    moment("finished_at", nullable=True),
    moment("changed_at"),
    moment("cancel_requested_at", nullable=True),
    text("current_phase", nullable=True),
    Column("current_iteration", Integer, nullable=True),
    text("waiting_reason", nullable=True),
    moment("waiting_until", nullable=True),
    Column("iterations", Integer, nullable=False, server_default="0"),
    *_usage(),
    Column("event_seq", BigInteger, nullable=False, server_default="0"),
    one_of("status", RunStatus),
    one_of("outcome_kind", OutcomeKind),
    one_of("waiting_reason", WaitReason),
    Index("ix_run_newest", "org_id", sql("created_at DESC"), sql("id DESC")),
    Index("ix_run_newest_of_status", "org_id", "status", sql("created_at DESC"), sql("id DESC")),
    Index("ix_run_newest_of_pipeline", "org_id", "pipeline_name", sql("created_at DESC"), sql("id DESC")),
    Index("ix_run_newest_of_workspace", "org_id", "workspace_name", sql("created_at DESC"), sql("id DESC")),
    Index("uq_run_started_by_hand", "workflow_id", "workflow_run_id", unique=True),
    info=TENANT,
    postgresql_with={"fillfactor": "80"},
)
"""`event_seq` is the number of the run's newest event: the next is taken under this row's lock."""

open_run = Table(
    "open_run",
    metadata,
    uuid("run_id", primary_key=True),
    org_id(),
    text("workflow_id"),
)
"""System table: the runs without an end, for the reconciler, which looks over all organizations."""

attempt = Table(
    "attempt",
    metadata,
    uuid("id", primary_key=True),
    org_id(),
    uuid("run_id", ForeignKey("run.id")),
    Column("iteration", Integer, nullable=False),
    text("phase"),
    Column("attempt", Integer, nullable=False),
    text("kind"),
    text("cause"),
    text("status"),
    document("error", nullable=True),
    text("fingerprint", nullable=True),
    document("result", nullable=True),
    text("summary", server_default=""),
    text("tree_before", nullable=True),
    text("tree_after", nullable=True),
    Column("exit_code", Integer),
    text("signal", nullable=True),
    text("model_asked", nullable=True),
    text("model_answered", nullable=True),
    document("commit_facts", nullable=True),
    text("branch", nullable=True),
    text("waiting_reason", nullable=True),
    moment("waiting_until", nullable=True),
    Column("waits", Integer, nullable=False, server_default="0"),
    moment("created_at"),
    moment("started_at", nullable=True),
    moment("finished_at", nullable=True),
    Column("executions", Integer, nullable=False, server_default="0"),
    Column("turns", Integer, nullable=False, server_default="0"),
    Column("stale", Boolean, nullable=False, server_default=sql("false")),
    *_usage(),
    one_of("kind", PhaseKind),
    one_of("cause", AttemptCause),
    one_of("status", PhaseStatus),
    one_of("waiting_reason", WaitReason),
    UniqueConstraint("run_id", "iteration", "phase", "attempt"),
    info=TENANT,
    postgresql_with={"fillfactor": "80"},
)
"""`result` is the committed PhaseResult: an attempt that has one is over."""

execution = Table(
    "execution",
    metadata,
    uuid("id", primary_key=True),
    org_id(),
    uuid("run_id"),
    uuid("attempt_id", ForeignKey("attempt.id")),
    Column("number", Integer, nullable=False),
    Column("ordinal", BigInteger, nullable=False),
    uuid("token"),
    text("status"),
    text("worker"),
    document("error", nullable=True),
    moment("started_at"),
    moment("ended_at", nullable=True),
    *_usage(),
    one_of("status", ExecutionStatus),
    UniqueConstraint("attempt_id", "number"),
    info=TENANT,
    postgresql_with={"fillfactor": "80"},
)
"""`ordinal` is the number of its `phase.started` event: orders the executions of one run."""
