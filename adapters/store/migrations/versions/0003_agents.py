"""Agents: the turns of a phase, sessions of external agents, the tool servers of a workspace."""

from alembic import op

from adapters.store.migrations.steps import refuse_when_rows, run_sql

revision = "0003_agents"
down_revision = "0002"
branch_labels = None
depends_on = None

FUNCTIONS = ("agent_session_keep", "agent_session_of", "agent_checkpoint", "agent_open")


def upgrade() -> None:
    run_sql("0003/agents.sql")
    run_sql("0003/facts.sql")


def downgrade() -> None:
    refuse_when_rows(["agent_segment", "agent_session"])
    run_sql("0003/facts_before.sql")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP TABLE agent_session")
    op.execute("DROP TABLE agent_segment")
    op.execute("ALTER TABLE attempt DROP COLUMN turns")
    op.execute("ALTER TABLE workspace DROP COLUMN mcp_servers")
