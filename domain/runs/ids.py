"""The one registry of names that Temporal knows us by."""

from uuid import UUID

TASK_QUEUE = "millwright"
RUN_WORKFLOW = "Run"
RUN_PHASE_ACTIVITY = "run_phase"
REQUEST_SIGNAL = "request"
"""Carries one request id; sent by the relay, by signal-with-start."""
CANCEL_SIGNAL = "cancel"
CANCEL_UPDATE = "cancel"
STATE_QUERY = "state"
ATTEMPTS_QUERY = "attempts"

UNVERIFIED_ACTOR = "temporal (unverified)"
"""Actor of a request that came through Temporal itself: anyone who reaches its port can send it."""


def run_workflow_id(org: str, run_id: UUID) -> str:
    return f"run/{org}/{run_id}"


def run_span_id(run_id: UUID) -> int:
    """Of the run's own span; its trace id is the run's id. So every process hangs its spans under the same root
    without asking, and a replay adds none."""
    return run_id.int & 0xFFFF_FFFF_FFFF_FFFF or 1
