"""The protocol's functions: phases, runs and the system's own work, one statement each."""

from alembic import op

from adapters.store.migrations.steps import run_sql

revision = "0002"
down_revision = "calls_0001"
branch_labels = None
depends_on = None

FUNCTIONS = (
    "chunks_compact", "tallies_fold", "leases_expire", "lease_take", "open_runs", "outbox_sent", "outbox_claim",
    "run_finalise", "run_apply_requests", "run_record_request", "run_cancel", "run_flag_cancel", "run_open",
    "run_state", "run_create", "workspace_of", "output_append", "step_end", "step_start", "phase_wait", "phase_fail", "phase_finish", "phase_renew",
    "attempt_waits", "phase_tally", "attempt_exhausted", "phase_began", "phase_begin", "run_facts", "output_tail",
    "execution_settle", "execution_end",
)


def upgrade() -> None:
    run_sql("0002/phases.sql")
    run_sql("0002/runs.sql")
    run_sql("0002/system.sql")


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DELETE FROM permit_pool")
