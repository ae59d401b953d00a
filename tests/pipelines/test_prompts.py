"""Rendering: strict, sandboxed, and untrusted text stays inside its fence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.pipelines.ports import PromptVariables
from domain.pipelines.spec import ModelPhase, ReviewPhase
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.messages import TaskSpec
from domain.runs.ports import EarlierAttempt
from pipelines import shipped
from pipelines.load import load_pipeline
from pipelines.prompts import Prompts
from pipelines.templates import FENCE_LIMIT, VARIABLES, fenced

TASK = TaskSpec(
    change="Dates are read wrong.\nMend it.",
    context="See `parse`.",
    acceptance=("old dates work",),
    target_paths=("src/dates.py",),
    suggested_checks=("pytest -k dates",),
)
VARIABLES_OF_ITERATION_2 = PromptVariables(
    task=TASK,
    iteration=2,
    earlier=(
        EarlierAttempt(iteration=0, phase="plan", attempt=1, status="passed", summary="Change parse()."),
        EarlierAttempt(iteration=1, phase="implement", attempt=1, status="passed", summary="{}"),
        EarlierAttempt(
            iteration=1,
            phase="verify",
            attempt=1,
            status="failed",
            error=PhaseError(kind=ErrorKind.COMMAND_FAILED, message="`pytest` ended with exit code 1."),
            summary="FAILED tests/test_dates.py::test_old",
        ),
    ),
    feedback=("Keep the signature.",),
    files={"src/dates.py": "def parse(): ...\n"},
    diff="--- a/src/dates.py",
)


def _render(template: str, variables: PromptVariables = VARIABLES_OF_ITERATION_2) -> str:
    return Prompts().render(template, variables)


def _prompts() -> dict[str, str]:
    """`pipeline/phase` -> template of every shipped prompt."""
    return {
        f"{name}/{phase.name}": phase.prompt
        for name, file in shipped().items()
        for phase in load_pipeline(file).all_phases
        if isinstance(phase, ModelPhase | ReviewPhase)
    }


def _prompt(phase: str, pipeline: str = "code-change") -> str:
    return _render(_prompts()[f"{pipeline}/{phase}"])


@pytest.mark.parametrize("prompt", sorted(_prompts()))
def test_every_prompt_has_the_selected_task_with_its_hints_and_feedback(prompt: str) -> None:
    text = _render(_prompts()[prompt])
    assert "## Selected Task" in text
    for part in (
        "Mend it.",
        "See `parse`.",
        "old dates work",
        "src/dates.py",
        "pytest -k dates",
        "Keep the signature.",
    ):
        assert part in text


def test_a_failed_verification_reaches_the_next_implementation() -> None:
    text = _prompt("implement")
    assert "### verify, iteration 1: failed" in text
    assert "FAILED tests/test_dates.py::test_old" in text
    assert "`pytest` ended with exit code 1." in text
    assert "Change parse()." in text
    assert "def parse(): ..." in text


def test_the_specification_reaches_implementation_and_review() -> None:
    spec = EarlierAttempt(iteration=0, phase="spec", attempt=1, status="passed", summary="Years from 1900 on.")
    variables = VARIABLES_OF_ITERATION_2.model_copy(update={"earlier": (spec,)})
    for phase in ("implement", "review"):
        assert "Years from 1900 on." in _render(_prompts()[f"spec-change/{phase}"], variables)


def test_sections_that_both_pipelines_have_are_the_same() -> None:
    ours, other = (shipped()[name].parent / "prompts" for name in ("code-change", "spec-change"))
    for section in ("task.md", "files.md"):
        assert (ours / section).read_text() == (other / section).read_text()


def test_the_first_iteration_has_no_section_about_failures() -> None:
    first = VARIABLES_OF_ITERATION_2.model_copy(update={"iteration": 1, "earlier": ()})
    assert "What went wrong" not in _render(_prompts()["code-change/implement"], first)


def test_the_review_sees_the_diff() -> None:
    assert "--- a/src/dates.py" in _prompt("self-review")


@given(st.text() | st.sampled_from(["</untrusted>", "< / UNTRUSTED>", "<​/untrusted>", "<untrusted label='x'>"]))
def test_nothing_gets_out_of_its_fence(text: str) -> None:
    lines = fenced(text, "task").split("\n")
    assert lines[0] == '<untrusted label="task">'
    assert lines[-1] == "</untrusted>"
    inside = "\n".join(lines[1:-1]).casefold().replace("​", "").replace(" ", "")
    assert "</untrusted" not in inside
    assert "<untrusted" not in inside


@given(st.text())
def test_a_label_cannot_break_the_mark(label: str) -> None:
    first, *_ = fenced("x", label).split("\n")
    assert first.count('"') == 2
    assert first.count(">") == 1


def test_a_long_text_keeps_head_and_tail() -> None:
    text = fenced("a" * FENCE_LIMIT + "z" * FENCE_LIMIT, "log")
    assert f"{FENCE_LIMIT:,} characters left out" in text
    assert text.startswith('<untrusted label="log">\naaa') and text.endswith("zzz\n</untrusted>")


def test_control_characters_are_taken_out() -> None:
    assert fenced("\x1b[31mred\x00\r\nend", "log").split("\n")[1:-1] == ["[31mred", "end"]


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("ok\n{{ task.chnge }}", "line 2"),
        ("ok\n\n{{ nothing }}", "line 3"),
        ("{{ 1 / 0 }}", "line 1"),
        ("{{ task.__class__.__mro__ }}", "unsafe"),
        ("{% for n in range(10 ** 9) %}x{% endfor %}", "Range too big"),
        ("{% for n in range(99999) %}{{ 'x' * 100 }}{% endfor %}", "more than 1,000,000 characters"),
        ("{% if x %}", "line 1"),
        ("{{ files['none'] }}", "line 1"),
    ],
)
def test_a_failing_template_says_where(template: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as raised:
        _render(template)
    assert raised.value.hint


def test_commit_messages_render_without_fences() -> None:
    assert _render("{{ task.subject }}") == "Dates are read wrong."


def test_the_names_that_the_check_knows_are_those_that_rendering_gives() -> None:
    assert frozenset(PromptVariables.model_fields) == VARIABLES
    for name in VARIABLES:
        assert _render(f"{{{{ {name} is defined }}}}") == "True"
