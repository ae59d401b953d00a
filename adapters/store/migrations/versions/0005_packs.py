"""Workspaces: packs of bases, and what was red before a run."""

from alembic import op

from adapters.store.migrations.steps import refuse_when_rows, run_sql

revision = "0005_packs"
down_revision = "0003_agents"
branch_labels = None
depends_on = None

TABLES = ("baseline", "base_pack")


def upgrade() -> None:
    run_sql("0005/workspaces.sql")


def downgrade() -> None:
    refuse_when_rows(["base_pack"])
    op.execute("DROP FUNCTION run_warn")
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
