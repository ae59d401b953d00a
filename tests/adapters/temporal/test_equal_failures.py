"""Equal failures before a row: waits do not count, other failures begin anew."""

from uuid import uuid4

from adapters.temporal.equal_failures import EqualFailures

PHASE = (uuid4(), "plan/0/1")


def test_one_failure_after_many_waits_is_one() -> None:
    assert EqualFailures().count(PHASE, "activity Heartbeat timeout", attempt=7) == 1


def test_failures_between_two_looks_all_count() -> None:
    failures = EqualFailures()
    assert failures.count(PHASE, "not registered", attempt=2) == 1
    assert failures.count(PHASE, "not registered", attempt=6) == 5


def test_another_failure_or_a_wait_begins_anew() -> None:
    failures = EqualFailures()
    failures.count(PHASE, "not registered", attempt=2)
    assert failures.count(PHASE, "bad import", attempt=4) == 1
    failures.none(PHASE)
    assert failures.count(PHASE, "bad import", attempt=6) == 1


def test_a_run_that_is_at_work_again_is_forgotten() -> None:
    failures = EqualFailures()
    failures.count(PHASE, "not registered", attempt=2)
    failures.keep(set())
    assert failures.count(PHASE, "not registered", attempt=4) == 1
