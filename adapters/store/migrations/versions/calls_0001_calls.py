"""begin_call, end_call and renew_call: the record's side of every model call, one statement each."""

from alembic import op

from adapters.store.migrations.steps import run_sql

revision = "calls_0001"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql("calls_0001/calls.sql")


def downgrade() -> None:
    op.execute("DROP FUNCTION begin_call, end_call, renew_call, newest_policy")
