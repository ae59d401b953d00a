"""Whatever phases answer, a run ends within a bound that is known before it starts."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.pipelines.spec import CommandPhase, GitPhase, Limits, Loop, LoopItem, ModelPhase, Pipeline, ReviewPhase
from domain.runs.decide import Finish, decide, most_phases
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.messages import PhaseResult, RunSettings
from domain.runs.outcome import headline
from domain.runs.state import RunState
from domain.runs.words import OutcomeKind, PhaseStatus, RunStatus
from tests.domain.runs.build import ORG, RUN, START

BOUNDS = {"max_consecutive_failures": st.integers(1, 4), "max_failures": st.integers(1, 6)}


@st.composite
def phases(draw: st.DrawFn, name: str) -> object:
    bounds = {field: draw(values) for field, values in BOUNDS.items()}
    match draw(st.integers(0, 3)):
        case 0:
            output = draw(st.sampled_from(["text", "files", "patch"]))
            return ModelPhase(kind="model", name=name, prompt="p", output=output, **bounds)
        case 1:
            return ReviewPhase(kind="review", name=name, prompt="p", **bounds)
        case 2:
            return CommandPhase(kind="command", name=name, command="x", verifies=draw(st.booleans()), **bounds)
    return GitPhase(kind="git", name=name, action="commit", **bounds)


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    before = [draw(phases(f"a{n}")) for n in range(draw(st.integers(0, 2)))]
    inside = [draw(phases(f"b{n}")) for n in range(draw(st.integers(0, 4)))]
    after = [draw(phases(f"c{n}")) for n in range(draw(st.integers(0 if before or inside else 1, 2)))]
    loop = [LoopItem(loop=Loop(max_iterations=draw(st.integers(1, 8)), phases=tuple(inside)))] if inside else []
    limits = Limits(
        tokens=draw(st.none() | st.integers(1, 5000)),
        cost_usd=draw(st.none() | st.decimals("0.01", "5", places=2)),
        time_seconds=draw(st.none() | st.floats(1, 500)),
    )
    return Pipeline(name="p", phases=(*before, *loop, *after), limits=limits)


errors = st.builds(
    PhaseError,
    kind=st.sampled_from(ErrorKind),
    message=st.just("it failed"),
    excerpt=st.just("because"),
    hint=st.just("do"),
)
fingerprints = st.none() | st.sampled_from(["a #1", "b #2", "#3"])
trees = st.none() | st.sampled_from(["base", "t1", "t2", "t3", "t4", "t5"])
costs = st.none() | st.decimals("0", "0.5", places=2)
common = {"tree": trees, "tokens": st.integers(0, 800), "cost_usd": costs}
passes = st.builds(PhaseResult, status=st.just(PhaseStatus.PASSED), **common)
results = st.one_of(
    passes,
    passes,
    st.builds(PhaseResult, status=st.just(PhaseStatus.FAILED), error=errors, fingerprint=fingerprints, **common),
    st.builds(PhaseResult, status=st.just(PhaseStatus.CHANGES_REQUESTED), fingerprint=fingerprints, **common),
    st.builds(PhaseResult, status=st.just(PhaseStatus.CANCELLED), error=st.none() | errors, **common),
    st.builds(PhaseResult, status=st.sampled_from(PhaseStatus), **common),
)


@given(
    of=pipelines(),
    max_iterations=st.none() | st.integers(1, 8),
    answers=st.data(),
    seconds=st.floats(0, 60),
    cancel_after=st.none() | st.integers(0, 20),
)
def test_every_run_ends_within_its_bound(
    of: Pipeline, max_iterations: int | None, answers: st.DataObject, seconds: float, cancel_after: int | None
) -> None:
    at = RunState(
        org_id=ORG,
        run_id=RUN,
        pipeline=of,
        settings=RunSettings(max_iterations=max_iterations),
        base_tree="base",
        started_at_seconds=START,
    )
    bound, seen = most_phases(of, max_iterations), set()
    for count in range(bound + 1):
        if cancel_after == count:
            at = at.cancelled()
        decision = decide(at, START + count * seconds)
        assert decide(at, START + count * seconds) == decision, "the same state gives the same decision"
        if isinstance(decision, Finish):
            break
        assert count < bound
        assert decision.key not in seen, "an attempt is never run twice"
        assert decision.tree == at.tree
        assert 0 < decision.time_limit_seconds <= of.phase(decision.key.phase).time_limit_seconds
        in_loop = of.loop is not None and decision.key.phase in {p.name for p in of.loop.phases}
        assert (decision.key.iteration >= 1) == in_loop
        seen.add(decision.key)
        at = at.after(decision.key, decision.cause, answers.draw(results))
    assert isinstance(decision, Finish)
    outcome = decision.outcome
    assert outcome.status.is_final
    assert (outcome.error is None) == (outcome.status is RunStatus.SUCCEEDED)
    if outcome.error is not None:
        assert (outcome.error.message and outcome.error.hint) or outcome.kind is OutcomeKind.CANCELLED
        assert outcome.error.message.rstrip(".") in headline(outcome)
        assert outcome.error.excerpt or outcome.kind is OutcomeKind.CANCELLED
    if outcome.kind is OutcomeKind.CANCELLED:
        assert at.cancel_requested or at.attempts
    assert at == RunState.model_validate_json(at.model_dump_json()), "the state survives continue-as-new"
    assert isinstance(at.known_cost_usd, Decimal)
