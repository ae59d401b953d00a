"""The phase rail: every phase of the pipeline in its place, exactly one of them running."""

from collections.abc import Sequence
from dataclasses import dataclass

from api.web import words
from api.web.words import Look
from domain.pipelines.spec import LoopItem, WorkPhase
from domain.runs.views import AttemptView, RunView
from domain.runs.words import PhaseStatus


@dataclass(frozen=True)
class RailPhase:
    """One phase in one iteration; `attempts` are oldest first, empty when it has not begun."""

    name: str
    kind: str
    look: Look
    attempts: tuple[AttemptView, ...] = ()
    is_running: bool = False

    @property
    def newest(self) -> AttemptView | None:
        return self.attempts[-1] if self.attempts else None


@dataclass(frozen=True)
class RailGroup:
    title: str
    phases: tuple[RailPhase, ...]


def running_attempt(run: RunView) -> AttemptView | None:
    """The one that runs now: a run has one at a time, so of several open rows only the newest is."""
    if run.status.is_final:
        return None
    attempts = [each for phase in run.phases for each in phase.attempts if each.status is PhaseStatus.RUNNING]
    return max(attempts, key=lambda each: each.started_at or each.created_at, default=None)


def rail(run: RunView) -> tuple[RailGroup, ...]:
    """Groups in the order in which they happen: before the loop, each iteration, after it."""
    begun = {(phase.iteration, phase.phase): phase.attempts for phase in run.phases}
    running = running_attempt(run)
    groups: list[RailGroup] = []
    straight: list[WorkPhase] = []
    title = "Before the iterations" if run.pipeline.loop else "Phases"

    newest = max(run.iterations, run.current_iteration or 0, 1)

    def group(name: str, iteration: int, phases: Sequence[WorkPhase]) -> None:
        passed_by = run.status.is_final or 0 < iteration < newest
        lines = (_line(run, each, begun.get((iteration, each.name), ()), running, passed_by) for each in phases)
        groups.append(RailGroup(name, tuple(lines)))

    for item in run.pipeline.phases:
        if not isinstance(item, LoopItem):
            straight.append(item)
            continue
        if straight:
            group(title, 0, straight)
        for iteration in range(1, newest + 1):
            group(f"Iteration {iteration}", iteration, item.loop.phases)
        straight, title = [], "After the iterations"
    if straight:
        group(title, 0, straight)
    return tuple(groups)


def _line(
    run: RunView, phase: WorkPhase, attempts: tuple[AttemptView, ...], running: AttemptView | None, passed_by: bool
) -> RailPhase:
    is_running = running is not None and any(each.id == running.id for each in attempts)
    look = _look(run, attempts, is_running=is_running, passed_by=passed_by)
    return RailPhase(phase.name, phase.kind, look, attempts, is_running)


def _look(run: RunView, attempts: tuple[AttemptView, ...], *, is_running: bool, passed_by: bool) -> Look:
    """`passed_by`: the run will not come to this place any more."""
    if not attempts:
        return words.SKIPPED if passed_by else words.NOT_STARTED
    newest = attempts[-1]
    if is_running:
        return words.PHASE[PhaseStatus.RUNNING]
    if newest.stale:
        return words.STALE
    if newest.status in (PhaseStatus.RUNNING, PhaseStatus.WAITING) and run.status.is_final:
        return words.PHASE[PhaseStatus.CANCELLED]
    if newest.status is PhaseStatus.RUNNING:
        return words.LOST
    return words.PHASE[newest.status]
