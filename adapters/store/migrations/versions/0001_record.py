"""The record: identity, set-up, runs, events, requests, permits, tallies, under row-level security."""

from alembic import op

from adapters.store.migrations.steps import refuse_when_rows, run_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "tally_delta", "tally", "worker", "reservation", "usage_counter", "permit", "permit_pool", "outbox", "request",
    "artifact", "output_chunk", "run_event", "step", "execution", "attempt", "open_run", "run", "pipeline_version",
    "workspace", "provider_policy", "login_session", "api_key", "membership", "app_user", "organization",
)


def upgrade() -> None:
    run_sql("0001/tables.sql")
    run_sql("0001/security.sql")


DERIVED = {"permit_pool", "worker", "tally", "tally_delta"}
"""Settings, counts and signs of life: made again by whoever starts."""


def downgrade() -> None:
    refuse_when_rows([table for table in TABLES if table not in DERIVED])
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
