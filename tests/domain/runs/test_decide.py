"""Every way on and every end of a run."""

import pytest

from domain.pipelines.spec import CommandPhase, Limits, Loop, LoopItem, ModelPhase, Pipeline, ReviewPhase
from domain.runs.decide import RunPhase, decide
from domain.runs.failure import FAILURE_CLASS, ErrorKind, FailureClass
from domain.runs.messages import PhaseResult, RunSettings
from domain.runs.outcome import headline
from domain.runs.state import RunState
from domain.runs.words import AttemptCause, PhaseStatus
from tests.domain.runs.build import (
    START,
    asks,
    cost,
    end,
    failed,
    passed,
    pipeline,
    run_all,
    run_next,
    state,
    unknown_cost,
)

IMPLEMENT_1 = ("implement", passed("t1"))
IMPLEMENT_2 = ("implement", passed("t2"))
IMPLEMENT_3 = ("implement", passed("t3"))
REVIEW = ("self-review", passed())
DELIVER = ("deliver", passed())
PLAN = ("plan", passed())


def test_a_straight_run_is_verified() -> None:
    at = run_next(state(), "plan", passed(), iteration=0)
    at = run_next(at, "implement", passed("t1"), iteration=1)
    at = run_next(at, "self-review", passed("t1"), iteration=1)
    at = run_next(at, "verify", passed("t1"), iteration=1)
    at = run_next(at, "deliver", passed("t1"), iteration=0)
    assert str(end(at).outcome) == "verified"
    assert end(at).outcome.error is None


def test_a_failed_verification_starts_the_next_iteration_with_the_newest_tree() -> None:
    at = run_all(state(), PLAN, IMPLEMENT_1, REVIEW, ("verify", failed()))
    decision = decide(at, START)
    assert isinstance(decision, RunPhase)
    assert (decision.key.phase, decision.key.iteration, decision.key.attempt) == ("implement", 2, 1)
    assert decision.tree == "t1"
    assert decision.cause is AttemptCause.FIRST


def test_requested_changes_end_the_iteration_too() -> None:
    at = run_all(state(), PLAN, IMPLEMENT_1, ("self-review", asks()))
    run_next(at, "implement", passed("t2"), iteration=2)


def test_equal_consecutive_failures_end_the_run_before_the_iteration_limit() -> None:
    at = run_all(state(), PLAN, IMPLEMENT_1, REVIEW, ("verify", failed()))
    at = run_all(at, IMPLEMENT_2, REVIEW, ("verify", failed()))
    at = run_all(at, IMPLEMENT_3, REVIEW, ("verify", failed(fingerprint="test_a #1")))
    outcome = end(at).outcome
    assert str(outcome) == "max_consecutive_failures(verify)"
    assert headline(outcome) == "Failed: verify failed 3 times with the same error (test_a)"
    assert outcome.error and outcome.error.excerpt == "E  assert 1 == 2"


def test_another_fingerprint_starts_the_count_anew() -> None:
    at = run_all(state(), PLAN, IMPLEMENT_1, REVIEW, ("verify", failed()))
    at = run_all(at, IMPLEMENT_2, REVIEW, ("verify", failed(fingerprint="test_b #2")))
    at = run_all(at, IMPLEMENT_3, REVIEW, ("verify", failed()))
    run_next(at, "implement", passed("t4"), iteration=4)


def test_a_pass_resets_the_count_of_equal_failures() -> None:
    at = run_all(state(), PLAN, IMPLEMENT_1, ("self-review", asks()))
    at = run_all(at, IMPLEMENT_2, ("self-review", asks()))
    at = run_all(at, IMPLEMENT_3, REVIEW, ("verify", failed()))
    at = run_all(at, ("implement", passed("t4")), ("self-review", asks()))
    run_next(at, "implement", passed("t5"), iteration=5)


def test_requested_changes_count_as_equal_failures_of_the_review() -> None:
    at = run_all(state(), PLAN, IMPLEMENT_1, ("self-review", asks()))
    at = run_all(at, IMPLEMENT_2, ("self-review", asks()), IMPLEMENT_3, ("self-review", asks()))
    outcome = end(at).outcome
    assert str(outcome) == "max_consecutive_failures(self-review)"
    assert headline(outcome) == "Failed: self-review asked for the same changes 3 times (name it better)"


def test_failures_without_a_fingerprint_are_equal_by_kind_and_message() -> None:
    bad = failed(ErrorKind.INVALID_OUTPUT, fingerprint=None)
    at = run_all(state(), PLAN, ("implement", bad), ("implement", bad), ("implement", bad))
    assert str(end(at).outcome) == "max_consecutive_failures(implement)"


def _looping(*phases: object, **loop: object) -> Pipeline:
    return pipeline(phases=(LoopItem(loop=Loop.model_validate({"phases": phases, **loop})),))


def test_unequal_failures_end_the_run_at_max_failures() -> None:
    of = _looping(CommandPhase(kind="command", name="verify", command="x", max_failures=2))
    at = run_all(state(of=of), ("verify", failed(fingerprint="a #1")), ("verify", failed(fingerprint="b #2")))
    outcome = end(at).outcome
    assert str(outcome) == "max_failures(verify)"
    assert "failed 2 times in all" in headline(outcome)


def test_the_same_tree_as_in_an_earlier_iteration_is_stuck_before_the_next_phase() -> None:
    at = run_all(state(), PLAN, IMPLEMENT_1, REVIEW, ("verify", failed()))
    at = run_all(at, IMPLEMENT_2, REVIEW, ("verify", failed(fingerprint="b #2")), IMPLEMENT_1)
    outcome = end(at).outcome
    assert str(outcome) == "stuck(implement)"
    assert headline(outcome) == "Failed: implement made the same change in iterations 1 and 3"
    assert outcome.error and outcome.error.excerpt


def test_a_failed_phase_that_left_the_tree_as_it_was_is_not_stuck() -> None:
    bad = failed(ErrorKind.INVALID_OUTPUT, tree="base")
    at = run_all(state(), PLAN, ("implement", bad), ("implement", bad))
    run_next(at, "implement", passed("t1"), iteration=3)


def test_a_command_that_leaves_the_tree_as_it_was_is_not_stuck() -> None:
    at = run_all(state(), PLAN, IMPLEMENT_1, REVIEW, ("verify", failed(tree="t1")))
    at = run_all(at, IMPLEMENT_2, REVIEW, ("verify", passed("t1")))
    run_next(at, "deliver", passed())


def test_the_iteration_limit_of_pipeline_and_of_settings() -> None:
    of = _looping(ModelPhase(kind="model", name="implement", prompt="p"), max_iterations=2)
    bad = [("implement", failed(ErrorKind.INVALID_OUTPUT, fingerprint=f"f #{n}")) for n in range(3)]
    outcome = end(run_all(state(of=of), *bad[:2])).outcome
    assert str(outcome) == "max_iterations"
    assert "none of 2 iterations passed; the last one ended at implement" in headline(outcome)
    longer = run_all(state(of=of, settings=RunSettings(max_iterations=3)), *bad[:2])
    run_next(longer, "implement", passed(), iteration=3)
    shorter = run_all(state(of=of, settings=RunSettings(max_iterations=1)), *bad[:1])
    assert "none of 1 iteration passed" in headline(end(shorter).outcome)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_error_kind_in_the_loop(kind: ErrorKind) -> None:
    at = run_all(state(), PLAN, IMPLEMENT_1, REVIEW, ("verify", failed(kind)))
    decision = decide(at, START)
    if FAILURE_CLASS[kind] is FailureClass.SEMANTIC:
        assert isinstance(decision, RunPhase)
        assert decision.key.iteration == 2
        return
    _told(at, kind, "verify")


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_error_kind_outside_the_loop_ends_the_run(kind: ErrorKind) -> None:
    _told(run_all(state(), ("plan", failed(kind))), kind, "plan")


def _told(at: RunState, kind: ErrorKind, phase: str) -> None:
    outcome = end(at).outcome
    named = {
        ErrorKind.POLICY_BLOCKED: "policy_blocked",
        ErrorKind.CANCELLED: "cancelled",
        ErrorKind.RATE_LIMITED: "provider_unavailable",
    }
    assert str(outcome) == named.get(kind, f"phase_error({phase})")
    assert outcome.error is not None
    assert phase in outcome.error.message
    if kind is not ErrorKind.CANCELLED:
        assert (outcome.error.kind, outcome.error.excerpt, outcome.error.hint) == (kind, "E  assert 1 == 2", "Mend it.")


def test_a_review_outside_the_loop_that_asks_for_changes_is_a_phase_error() -> None:
    of = pipeline(phases=(ReviewPhase(kind="review", name="review", prompt="p"),))
    outcome = end(run_all(state(of=of), ("review", asks()))).outcome
    assert headline(outcome) == "Failed: review failed: the review asked for changes"
    assert outcome.error and outcome.error.excerpt == "name it better"


def test_a_failure_without_an_error_is_told_as_internal() -> None:
    outcome = end(run_all(state(), ("plan", PhaseResult(status=PhaseStatus.FAILED)))).outcome
    assert str(outcome) == "phase_error(plan)"
    assert outcome.error and outcome.error.kind is ErrorKind.INTERNAL


def test_cancel_wins_over_going_on_and_over_failing_but_not_over_finished_work() -> None:
    going = run_all(state(), PLAN, IMPLEMENT_1).cancelled()
    assert headline(end(going).outcome) == "Cancelled: The run was cancelled before self-review of iteration 1"
    failing = run_all(state(), ("plan", failed(ErrorKind.INTERNAL))).cancelled()
    assert str(end(failing).outcome) == "cancelled"
    killed = PhaseResult(status=PhaseStatus.CANCELLED)
    assert "while plan ran" in headline(end(run_all(state(), ("plan", killed)).cancelled()).outcome)
    done = run_all(state(), PLAN, IMPLEMENT_1, REVIEW, ("verify", passed()), DELIVER).cancelled()
    assert str(end(done).outcome) == "verified"


def test_the_token_budget_ends_the_run_before_the_next_phase() -> None:
    at = run_all(state(limits=Limits(tokens=100)), ("plan", cost("0", tokens=100)))
    outcome = end(at).outcome
    assert headline(outcome) == "Failed: the run used 100 of 100 tokens before implement could run"
    assert str(outcome) == "budget_exceeded(tokens)"
    assert outcome.error and outcome.error.excerpt == "plan, iteration 0: 100 tokens, $0"


def test_the_cost_budget_counts_known_cost_and_refuses_unknown_cost() -> None:
    limits = Limits.model_validate({"cost_usd": "0.50"})
    spent = end(run_all(state(limits=limits), ("plan", cost("0.50")))).outcome
    assert headline(spent) == "Failed: the run spent $0.5 of $0.5 before implement could run"
    unknown = end(run_all(state(limits=limits), ("plan", unknown_cost()))).outcome
    assert str(unknown) == "budget_exceeded(cost)"
    assert "the cost of plan in iteration 0 is unknown" in headline(unknown)
    run_next(run_all(state(), ("plan", unknown_cost())), "implement", passed("t1"))


def test_the_time_budget_cuts_the_next_phase_and_then_ends_the_run() -> None:
    at = state(limits=Limits(time_seconds=100))
    early, late = decide(at, START + 10), decide(at, START + 100)
    assert isinstance(early, RunPhase) and early.time_limit_seconds == 90
    assert not isinstance(late, RunPhase) and str(late.outcome) == "budget_exceeded(time)"
    of = pipeline(phases=(ModelPhase(kind="model", name="plan", prompt="p", time_limit_seconds=5),))
    short = decide(state(of=of), START)
    assert isinstance(short, RunPhase) and short.time_limit_seconds == 5


def test_a_run_without_a_time_limit_has_a_day() -> None:
    assert str(end(state(), START + 86_400).outcome) == "budget_exceeded(time)"


def test_settings_override_limits_field_by_field() -> None:
    limits = Limits(tokens=100, time_seconds=50)
    at = state(of=pipeline(limits=limits), settings=RunSettings(limits=Limits(tokens=1000)))
    at = run_all(at, ("plan", cost("0", tokens=500)))
    run_next(at, "implement", passed("t1"))
    assert str(end(at, START + 50).outcome) == "budget_exceeded(time)"


def test_work_that_is_done_is_not_taken_back_by_a_budget() -> None:
    at = run_all(state(limits=Limits(tokens=100)), PLAN, IMPLEMENT_1, REVIEW, ("verify", passed()))
    at = run_next(at, "deliver", cost("0", tokens=100))
    assert str(end(at).outcome) == "verified"


def test_a_tree_that_changed_after_the_verification_is_only_completed() -> None:
    of = pipeline(
        phases=(
            CommandPhase(kind="command", name="verify", command="x", verifies=True),
            CommandPhase(kind="command", name="format", command="y"),
        )
    )
    same = run_all(state(of=of), ("verify", passed("base")), ("format", passed("base")))
    assert str(end(same).outcome) == "verified"
    changed = run_all(state(of=of), ("verify", passed("base")), ("format", passed("t1")))
    assert str(end(changed).outcome) == "completed"


def test_a_pipeline_without_verification_is_completed() -> None:
    of = pipeline(phases=(CommandPhase(kind="command", name="build", command="x"),))
    outcome = end(run_all(state(of=of), ("build", passed()))).outcome
    assert headline(outcome) == "Completed: every phase passed (nothing verified the final tree)"


def test_changed_protected_files_make_it_completed_with_the_list() -> None:
    verify = passed(protected_changed=("tests/test_b.py", "tests/test_a.py"))
    outcome = end(run_all(state(), PLAN, IMPLEMENT_1, REVIEW, ("verify", verify), DELIVER)).outcome
    assert str(outcome) == "completed"
    assert outcome.protected_changed == ("tests/test_a.py", "tests/test_b.py")
    assert "tests/test_a.py, tests/test_b.py" in headline(outcome)


def test_a_protected_file_that_a_later_iteration_put_back_does_not_count() -> None:
    bad = failed().model_copy(update={"protected_changed": ("tests/test_a.py",)})
    at = run_all(state(), PLAN, IMPLEMENT_1, REVIEW, ("verify", bad))
    at = run_all(at, IMPLEMENT_2, REVIEW, ("verify", passed()), DELIVER)
    assert str(end(at).outcome) == "verified"


def _stale(of: RunState, *phases: str) -> RunState:
    marked = tuple(a.model_copy(update={"stale": True}) if a.phase in phases else a for a in of.attempts)
    return of.model_copy(update={"attempts": marked})


def test_stale_attempts_do_not_count_but_keep_their_numbers() -> None:
    done = run_all(state(), PLAN, IMPLEMENT_1, REVIEW, ("verify", passed("t1")), DELIVER)
    decision = decide(_stale(done, "verify", "deliver"), START)
    assert isinstance(decision, RunPhase)
    assert (decision.key.phase, decision.key.iteration, decision.key.attempt) == ("verify", 1, 2)
    assert decision.cause is AttemptCause.DOWNSTREAM


def test_a_newer_attempt_of_an_earlier_phase_takes_verified_away_when_it_changes_the_tree() -> None:
    done = run_all(state(), PLAN, IMPLEMENT_1, REVIEW, ("verify", passed("t1")), DELIVER)
    first = next(a for a in done.attempts if a.phase == "implement")
    for tree, outcome in (("t1", "verified"), ("t9", "completed")):
        again = first.model_copy(
            update={"attempt": 2, "cause": AttemptCause.REQUESTED, "result": passed(tree), "stale": False}
        )
        assert str(end(done.model_copy(update={"attempts": (*done.attempts, again)})).outcome) == outcome
