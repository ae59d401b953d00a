"""Which model a phase asks: one test for each level of precedence, and the words that tell it."""

from uuid import uuid4

import pytest
from pydantic import ValidationError

from domain.models.choice import Chosen, ModelDefaults, StageModels, choose_model
from domain.models.policy import Policy
from domain.pipelines.spec import AgentPhase, ModelPhase, PhaseKind, ReviewPhase
from domain.runs.messages import RunSettings
from domain.runs.ports import WorkspaceFacts

PHASE = ModelPhase(name="look", kind=PhaseKind.MODEL, prompt="p", role="planner", stage="context", model="m:phase")
WORKSPACE = WorkspaceFacts(
    workspace_id=uuid4(),
    name="shop",
    repo_path="/r",
    models={"planner": "m:workspace-role", "context": "m:workspace-stage", "default": "m:workspace"},
)
SETTINGS = RunSettings(model="m:run", models={"planner": "m:run-role", "context": "m:run-stage"})
DEFAULTS = ModelDefaults(
    policy=Policy(
        version=1,
        default_models={"planner": "m:policy-role", "context": "m:policy-stage", "default": "m:policy-default"},
    ),
    environment=StageModels(context="m:environment", execution="m:other-stage"),
)


def _without(models: dict[str, str], *keys: str) -> dict[str, str]:
    return {key: model for key, model in models.items() if key not in keys}


def _levels() -> list[tuple[Chosen, ModelPhase, RunSettings, WorkspaceFacts | None, ModelDefaults]]:
    """Each level with everything below it set, and nothing above."""
    stage_only = SETTINGS.model_copy(update={"models": _without(SETTINGS.models, "planner")})
    run_only = SETTINGS.model_copy(update={"models": {"reviewer": "m:other-role"}})
    silent = RunSettings()
    bare = PHASE.model_copy(update={"model": None})
    shop_stage = WORKSPACE.model_copy(update={"models": _without(WORKSPACE.models, "planner")})
    shop_default = WORKSPACE.model_copy(update={"models": _without(WORKSPACE.models, "planner", "context")})
    other_roles = _without(DEFAULTS.policy.default_models, "planner", "context")
    policies = [
        DEFAULTS,
        *(
            DEFAULTS.model_copy(update={"policy": Policy(version=1, default_models=models)})
            for models in (_without(DEFAULTS.policy.default_models, "planner"), other_roles)
        ),
    ]
    last = ModelDefaults(policy=Policy(version=1, default_models=other_roles), environment=StageModels(retrieval="m:x"))
    run, phase, shop = "the run's settings", "phase `look` of the pipeline", "workspace `shop`"
    return [
        (_chosen("m:run-role", run, "settings.models.planner"), PHASE, SETTINGS, WORKSPACE, DEFAULTS),
        (_chosen("m:run-stage", run, "settings.models.context"), PHASE, stage_only, WORKSPACE, DEFAULTS),
        (_chosen("m:run", run, "settings.model"), PHASE, run_only, WORKSPACE, DEFAULTS),
        (_chosen("m:phase", phase), PHASE, silent, WORKSPACE, DEFAULTS),
        (_chosen("m:workspace-role", shop), bare, silent, WORKSPACE, DEFAULTS),
        (_chosen("m:workspace-stage", shop), bare, silent, shop_stage, DEFAULTS),
        (_chosen("m:workspace", shop), bare, silent, shop_default, DEFAULTS),
        (_chosen("m:policy-role", "the organization's policy"), bare, silent, None, policies[0]),
        (_chosen("m:policy-stage", "the organization's policy"), bare, silent, None, policies[1]),
        (_chosen("m:environment", "CONTEXT_MODEL in the environment"), bare, silent, None, policies[2]),
        (_chosen("m:policy-default", "the organization's default"), bare, silent, None, last),
    ]


def _chosen(model: str, named_by: str, field: str | None = None) -> Chosen:
    return Chosen(model=model, named_by=named_by, field=field)


@pytest.mark.parametrize("level", _levels(), ids=lambda level: level[0].model)
def test_the_most_particular_word_wins(
    level: tuple[Chosen, ModelPhase, RunSettings, WorkspaceFacts | None, ModelDefaults],
) -> None:
    expected, phase, settings, workspace, defaults = level
    assert choose_model(phase, settings, workspace, defaults) == expected


def test_nothing_named_is_nothing_chosen() -> None:
    bare = PHASE.model_copy(update={"model": None})
    assert choose_model(bare, RunSettings(), None, ModelDefaults(policy=Policy(version=1))) is None


def test_agents_and_reviews_are_chosen_for_by_their_own_role_and_stage() -> None:
    defaults = ModelDefaults(policy=Policy(version=1), environment=StageModels(execution="m:e", retrieval="m:r"))
    agent = AgentPhase(name="work", kind=PhaseKind.AGENT, prompt="p")
    review = ReviewPhase(name="review", kind=PhaseKind.REVIEW, prompt="p", stage="retrieval")
    unknown = ReviewPhase(name="review", kind=PhaseKind.REVIEW, prompt="p", stage="elsewhere")
    found = [choose_model(phase, RunSettings(), None, defaults) for phase in (agent, review, unknown)]
    assert [each and each.model for each in found] == ["m:e", "m:r", None]


def test_a_model_without_a_provider_is_no_model() -> None:
    with pytest.raises(ValidationError):
        StageModels(context="gpt-5-mini")
