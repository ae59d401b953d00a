"""docs/pipelines.md names every field, every name that a prompt may use, every shipped pipeline and every outcome."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from domain.pipelines.ports import PromptVariables
from domain.pipelines.spec import Limits, Loop, LoopItem, Pipeline
from domain.runs.messages import TaskSpec
from domain.runs.ports import EarlierAttempt
from domain.runs.words import OutcomeKind
from pipelines import shipped
from pipelines.load import PHASE_MODELS, parse_pipeline

DOC = (Path(__file__).parents[2] / "docs" / "pipelines.md").read_text()
MODELS: tuple[type[BaseModel], ...] = (
    Pipeline,
    Limits,
    Loop,
    LoopItem,
    PromptVariables,
    EarlierAttempt,
    TaskSpec,
    *PHASE_MODELS.values(),
)
NOT_IN_A_PIPELINE = {OutcomeKind.REJECTED, OutcomeKind.INVALID_INPUT, OutcomeKind.ORPHANED}


@pytest.mark.parametrize("field", sorted({name for model in MODELS for name in model.model_fields} | {"subject"}))
def test_every_field_is_documented(field: str) -> None:
    assert f"`{field}`" in DOC, f"docs/pipelines.md does not mention `{field}`"


@pytest.mark.parametrize("kind", sorted(PHASE_MODELS))
def test_every_kind_has_its_section_with_its_own_fields(kind: str) -> None:
    section = DOC.split(f"## `kind: {kind}`")[1].split("\n## ")[0]
    common = set.intersection(*(set(model.model_fields) for model in PHASE_MODELS.values()))
    for field, info in PHASE_MODELS[kind].model_fields.items():
        if field in common:
            continue
        assert f"`{field}`" in section
        if isinstance(info.default, str | int | float | bool) and f"| `{field}` |" in section:
            row = next(line for line in section.splitlines() if line.startswith(f"| `{field}` |"))
            shown = str(info.default).lower() if isinstance(info.default, bool) else f"{info.default}"
            assert f"| `{shown}` |" in row or f"| {shown} |" in row, f"{row} does not give the default {shown}"


def test_every_shipped_pipeline_and_outcome_is_named() -> None:
    for name in shipped():
        assert f"`{name}`" in DOC
    for kind in set(OutcomeKind) - NOT_IN_A_PIPELINE:
        assert f"`{kind}`" in DOC or f"`{kind}(" in DOC


def test_the_example_is_good(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    for name in ("plan", "implement"):
        (tmp_path / "prompts" / f"{name}.md").write_text("{{ task.change | fenced('task') }}")
    example = DOC.split("```yaml\n")[1].split("```")[0]
    assert parse_pipeline(example, tmp_path / "pipeline.yaml").name == "mine"
