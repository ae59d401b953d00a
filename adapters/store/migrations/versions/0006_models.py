"""Models that a workspace chooses for roles and stages."""

from alembic import op

from adapters.store.migrations.steps import run_sql

revision = "0006_models"
down_revision = "0005_packs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE workspace ADD COLUMN models jsonb NOT NULL DEFAULT '{}'")
    run_sql("0006/facts.sql")


def downgrade() -> None:
    run_sql("0003/facts.sql")
    op.execute("ALTER TABLE workspace DROP COLUMN models")
