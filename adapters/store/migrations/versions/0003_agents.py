"""Agents: the turns of a phase, sessions of external agents, the tool servers of a workspace."""

revision = "0003_agents"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
