"""What a run does next: one pure function. Property-tested without Temporal (tests/domain/runs).

It walks the pipeline over the newest attempts that still count (a retry makes later ones stale) and stops at the
first phase without a result, or at a failure that ends the run. So a run ends after at most `most_phases` phases.
"""

from dataclasses import dataclass

from domain.base import Frozen
from domain.pipelines.spec import Loop, LoopItem, Pipeline, WorkPhase, writes_tree
from domain.runs import endings
from domain.runs.failure import FailureClass
from domain.runs.fingerprint import of_error
from domain.runs.limits import run_limits
from domain.runs.messages import AttemptKey
from domain.runs.outcome import Outcome
from domain.runs.state import AttemptRecord, RunState
from domain.runs.words import AttemptCause, OutcomeKind, PhaseStatus


class RunPhase(Frozen):
    key: AttemptKey
    cause: AttemptCause
    time_limit_seconds: float
    tree: str | None


class Finish(Frozen):
    outcome: Outcome


Decision = RunPhase | Finish


@dataclass(frozen=True)
class _Next:
    phase: WorkPhase
    iteration: int


def decide(state: RunState, now_seconds: float) -> Decision:
    """The next phase, or the end with its outcome. `now_seconds` is the workflow's clock."""
    step = _walk(state)
    if step is None:
        return Finish(outcome=_success(state))
    if state.cancel_requested and not (isinstance(step, Outcome) and step.kind is OutcomeKind.CANCELLED):
        return Finish(outcome=endings.cancelled(_where(step)))
    if isinstance(step, Outcome):
        return Finish(outcome=step)
    limits = run_limits(state.pipeline.limits, state.settings.limits)
    over = endings.over_budget(state, limits, step.phase, now_seconds)
    if over is not None:
        return Finish(outcome=over)
    time_left = limits.time_seconds - (now_seconds - state.started_at_seconds)
    return _run(state, step, min(step.phase.time_limit_seconds, time_left))


def most_phases(pipeline: Pipeline, max_iterations: int | None = None) -> int:
    """The bound: no run without requested retries runs more phases than this."""
    loop = pipeline.loop
    in_loop = len(loop.phases) if loop else 0
    iterations = (max_iterations or loop.max_iterations) if loop else 0
    return len(pipeline.all_phases) - in_loop + in_loop * iterations


def _walk(state: RunState) -> _Next | Outcome | None:
    """None: every phase passed."""
    for item in state.pipeline.phases:
        if isinstance(item, LoopItem):
            step = _walk_loop(state, item.loop)
        else:
            record = _newest(state, 0, item.name)
            if record is None:
                return _Next(item, 0)
            step = None if record.result.status is PhaseStatus.PASSED else endings.ended_by(record)
        if step is not None:
            return step
    return None


def _walk_loop(state: RunState, loop: Loop) -> _Next | Outcome | None:
    limit = state.settings.max_iterations or loop.max_iterations
    iteration = 1
    while True:
        step = _walk_iteration(state, loop, iteration)
        if not isinstance(step, AttemptRecord):
            return step
        ended = _ended_in_loop(state, step)
        if ended is not None:
            return ended
        if iteration >= limit:
            return endings.max_iterations(step, limit)
        iteration += 1


def _walk_iteration(state: RunState, loop: Loop, iteration: int) -> _Next | AttemptRecord | Outcome | None:
    """The phase to run, the attempt that ended this iteration, or None when all passed."""
    for phase in loop.phases:
        record = _newest(state, iteration, phase.name)
        if record is None:
            return _Next(phase, iteration)
        if record.result.status is not PhaseStatus.PASSED:
            return record
        if writes_tree(phase) and (earlier := _same_tree_before(state, record)) is not None:
            return endings.stuck(record, earlier, _last_failure_before(state, record))
    return None


def _ended_in_loop(state: RunState, failed: AttemptRecord) -> Outcome | None:
    """Whether this failure ends the run; None: the next iteration may try to mend it."""
    error = endings.error_of(failed)
    if error.stuck or error.failure_class is not FailureClass.SEMANTIC:
        return endings.ended_by(failed)
    phase = state.pipeline.phase(failed.phase)
    attempts = sorted(
        (a for a in state.current if a.phase == failed.phase and a.iteration <= failed.iteration),
        key=lambda a: (a.iteration, a.attempt),
    )
    equal = 0
    for attempt in reversed(attempts):
        if attempt.result.status is PhaseStatus.PASSED or _fingerprint(attempt) != _fingerprint(failed):
            break
        equal += 1
    if equal >= phase.max_consecutive_failures:
        return endings.max_consecutive_failures(failed, equal)
    failures = sum(a.result.status is not PhaseStatus.PASSED for a in attempts)
    return endings.max_failures(failed, failures) if failures >= phase.max_failures else None


def _success(state: RunState) -> Outcome:
    newest: dict[str, AttemptRecord] = {}
    tree, verified = state.base_tree, False
    for record in state.current:
        phase = next((p for p in state.pipeline.all_phases if p.name == record.phase), None)
        if phase is not None and getattr(phase, "verifies", False) and record.result.status is PhaseStatus.PASSED:
            verified = verified or tree == state.tree
        tree = record.result.tree or tree
        newest[record.phase] = record
    changed = tuple(sorted({path for record in newest.values() for path in record.result.protected_changed}))
    kind = OutcomeKind.VERIFIED if verified and not changed else OutcomeKind.COMPLETED
    return Outcome(kind=kind, protected_changed=changed)


def _run(state: RunState, step: _Next, time_limit_seconds: float) -> RunPhase:
    name, iteration = step.phase.name, step.iteration
    before = [a for a in state.attempts if a.iteration == iteration and a.phase == name]
    key = AttemptKey(
        org_id=state.org_id,
        run_id=state.run_id,
        iteration=iteration,
        phase=name,
        attempt=max((a.attempt for a in before), default=0) + 1,
    )
    cause = AttemptCause.DOWNSTREAM if before else AttemptCause.FIRST
    return RunPhase(key=key, cause=cause, time_limit_seconds=time_limit_seconds, tree=state.tree)


def _newest(state: RunState, iteration: int, phase: str) -> AttemptRecord | None:
    found = [a for a in state.current if a.iteration == iteration and a.phase == phase]
    return max(found, key=lambda a: a.attempt, default=None)


def _same_tree_before(state: RunState, record: AttemptRecord) -> AttemptRecord | None:
    if record.result.tree is None:
        return None
    for iteration in range(1, record.iteration):
        earlier = _newest(state, iteration, record.phase)
        if earlier and earlier.result.status is PhaseStatus.PASSED and earlier.result.tree == record.result.tree:
            return earlier
    return None


def _last_failure_before(state: RunState, record: AttemptRecord) -> AttemptRecord | None:
    failed = (
        a for a in reversed(state.current) if a.iteration < record.iteration and a.result.status != PhaseStatus.PASSED
    )
    return next(failed, None)


def _fingerprint(record: AttemptRecord) -> str:
    return record.result.fingerprint or of_error(endings.error_of(record))


def _where(step: _Next | Outcome) -> str:
    if isinstance(step, Outcome):
        return f"after {step.detail} had ended" if step.detail else "after its last phase had ended"
    return f"before {step.phase.name}" + (f" of iteration {step.iteration}" if step.iteration else "")
