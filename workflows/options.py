"""Timeouts and retry policies of what a run schedules, each with its reason."""

from datetime import timedelta

from temporalio.common import RetryPolicy

PHASE_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=10)
)
"""No maximum of attempts: infrastructure failures are counted from execution rows and bounded there; what fails
before there is a row is seen by the reconciler. 10 s: PostgreSQL is back within seconds, a person waits."""

PHASE_SCHEDULE_TO_CLOSE = timedelta(days=7)
"""Waiting for a permit, a pause or a cooling provider lies within it; a run must not wait for ever."""

PHASE_GRACE = timedelta(seconds=120)
"""Beyond the phase's own time limit, which the phase keeps itself: restore, clean-up, commit of the result."""

OPEN_TIMEOUT = timedelta(seconds=60)
"""Opening a run by hand also looks at the user's repository."""

RECORD_TIMEOUT = timedelta(seconds=10)
"""One short transaction as a local activity."""

RECORD_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=10)
)
"""For ever: the record must be written before the run may go on, and PostgreSQL comes back."""
