"""Builders of run states for the tests of the loop."""

from decimal import Decimal
from uuid import UUID

from domain.pipelines.spec import CommandPhase, GitPhase, Limits, Loop, LoopItem, ModelPhase, Pipeline, ReviewPhase
from domain.runs.decide import Finish, RunPhase, decide
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.messages import PhaseResult, RunSettings
from domain.runs.state import RunState
from domain.runs.words import PhaseStatus

ORG, RUN = UUID(int=1), UUID(int=2)
START = 1_000_000.0


def pipeline(**over: object) -> Pipeline:
    """plan -> loop[implement -> self-review -> verify] -> deliver."""
    fields: dict[str, object] = {
        "name": "code-change",
        "phases": (
            ModelPhase(kind="model", name="plan", prompt="p"),
            LoopItem(
                loop=Loop(
                    max_iterations=5,
                    phases=(
                        ModelPhase(kind="model", name="implement", prompt="p", output="files"),
                        ReviewPhase(kind="review", name="self-review", prompt="p"),
                        CommandPhase(kind="command", name="verify", command="make test", verifies=True),
                    ),
                )
            ),
            GitPhase(kind="git", name="deliver", action="deliver"),
        ),
    }
    return Pipeline.model_validate(fields | over)


def state(*, of: Pipeline | None = None, settings: RunSettings | None = None, limits: Limits | None = None) -> RunState:
    return RunState(
        org_id=ORG,
        run_id=RUN,
        pipeline=of or pipeline(**({"limits": limits} if limits else {})),
        settings=settings or RunSettings(),
        base_tree="base",
        started_at_seconds=START,
    )


def passed(tree: str | None = None, **fields: object) -> PhaseResult:
    return PhaseResult.model_validate({"status": PhaseStatus.PASSED, "tree": tree, **fields})


def failed(
    kind: ErrorKind = ErrorKind.COMMAND_FAILED, fingerprint: str | None = "test_a #1", tree: str | None = None
) -> PhaseResult:
    error = PhaseError(kind=kind, message=f"it ended as {kind}", excerpt="E  assert 1 == 2", hint="Mend it.")
    return PhaseResult(status=PhaseStatus.FAILED, error=error, fingerprint=fingerprint, tree=tree)


def asks(comments: str = "name it better #1") -> PhaseResult:
    return PhaseResult(status=PhaseStatus.CHANGES_REQUESTED, fingerprint=comments)


def unknown_cost() -> PhaseResult:
    return PhaseResult(status=PhaseStatus.PASSED, tokens=10, cost_usd=None)


def cost(usd: str, tokens: int = 0) -> PhaseResult:
    return PhaseResult(status=PhaseStatus.PASSED, tokens=tokens, cost_usd=Decimal(usd))


def run_next(before: RunState, phase: str, result: PhaseResult, *, iteration: int | None = None) -> RunState:
    """Asserts that `phase` is next, and gives the state after it ended with `result`."""
    decision = decide(before, START)
    assert isinstance(decision, RunPhase), decision
    assert decision.key.phase == phase, decision
    if iteration is not None:
        assert decision.key.iteration == iteration, decision
    return before.after(decision.key, decision.cause, result)


def run_all(before: RunState, *steps: tuple[str, PhaseResult]) -> RunState:
    for phase, result in steps:
        before = run_next(before, phase, result)
    return before


def end(of: RunState, now_seconds: float = START) -> Finish:
    decision = decide(of, now_seconds)
    assert isinstance(decision, Finish), decision
    assert decision.outcome.status.is_final
    return decision
