"""Options of `run start`, and task files."""

from pathlib import Path

import pytest

from cli.commands.failing import CommandError
from cli.commands.start_options import StartOptions
from cli.commands.task_file import read_task
from pipelines.problems import PipelineProblems


def test_options_become_the_body_of_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    body = StartOptions(
        task=" Mend dates\n",
        repo=Path("here"),
        test_command="pytest -q",
        models=("openai:gpt-5-mini", "reviewer=openai:gpt-5"),
        max_iterations=3,
        max_cost="2.50",
        max_tokens=1000,
    ).body()
    assert body == {
        "org": "default",
        "task": {
            "change": "Mend dates",
            "context": "",
            "acceptance": [],
            "target_paths": [],
            "suggested_checks": [],
        },
        "pipeline": "code-change",
        "repo": str(tmp_path / "here"),
        "settings": {
            "model": "openai:gpt-5-mini",
            "models": {"reviewer": "openai:gpt-5"},
            "limits": {"tokens": 1000, "cost_usd": "2.50"},
            "max_iterations": 3,
            "test_command": "pytest -q",
            "priority": 3,
        },
    }


def test_a_pipeline_file_goes_along_with_its_prompts(tmp_path: Path) -> None:
    (tmp_path / "p.md").write_text("{{ task.change | fenced('task') }}")
    text = "name: mine\nneeds_workspace: false\nphases:\n  - {name: answer, kind: model, prompt: p.md}\n"
    (tmp_path / "mine.yaml").write_text(text)
    body = StartOptions(task="x", pipeline=str(tmp_path / "mine.yaml")).body()
    assert (body["pipeline"], body["pipeline_yaml"]) == ("mine", text)
    assert body["prompts"] == {"p.md": "{{ task.change | fenced('task') }}"}
    (tmp_path / "mine.yaml").write_text("name: Mine\n")
    with pytest.raises(PipelineProblems, match=r"mine\.yaml:1: name"):
        StartOptions(task="x", pipeline=str(tmp_path / "mine.yaml")).body()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "exactly one of --task and --task-file"),
        ({"task": "x", "task_file": "y"}, "exactly one of --task and --task-file"),
        ({"task": "  "}, "is empty"),
        ({"task": "a\x07b"}, "has the control character U+0007 at position 1"),
        ({"task": "x", "models": ("gpt-5",)}, "--model: `gpt-5` is no model"),
        ({"task": "x", "models": ("coder=gpt-5",)}, "--model: `gpt-5` is no model"),
        ({"task": "x", "max_cost": "much"}, "--max-cost: `much` is no amount"),
        ({"task": "x", "max_cost": "-1"}, "--max-cost: Input should be greater than 0"),
        ({"task": "x", "max_iterations": 0}, "--max-iterations: Input should be greater than or equal to 1"),
        ({"task": "x", "priority": 9}, "--priority: Input should be less than or equal to 5"),
        ({"task": "x", "test_command": ""}, "--test-command: String should have at least 1 character"),
        ({"task_file": "/nowhere/t.txt"}, "/nowhere/t.txt cannot be read: No such file"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], says: str) -> None:
    with pytest.raises(CommandError) as raised:
        StartOptions.model_validate(options).body()
    assert says in raised.value.message
    assert raised.value.exit_code == 2


def test_a_task_file_is_text_or_yaml_or_json(tmp_path: Path) -> None:
    for name, text in (
        ("t.txt", "Mend: dates\n"),
        ("t.yaml", "change: 'Mend: dates'\nacceptance: [old dates]\n"),
        ("t.json", '{"change": "Mend: dates"}'),
    ):
        (tmp_path / name).write_text(text)
        assert read_task(str(tmp_path / name)).change == "Mend: dates"
    assert read_task(str(tmp_path / "t.yaml")).acceptance == ("old dates",)


def test_a_wrong_task_file_names_line_and_field(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text("context: x\n\naceptance: [a]\ntarget_paths:\n  - a\n  - 3\n")
    with pytest.raises(PipelineProblems) as raised:
        read_task(str(file))
    assert [f"{p.line} {p.field}: {p.message}" for p in raised.value.problems] == [
        "1 change: is missing",
        "3 aceptance: unknown field; did you mean `acceptance`?",
        "6 target_paths.1: Input should be a valid string",
    ]
    assert "suggested_checks" in raised.value.hint
    file.write_text("- a\n")
    with pytest.raises(PipelineProblems, match="must be a mapping"):
        read_task(str(file))
    file.write_bytes(b"\xff")
    with pytest.raises(CommandError, match="not UTF-8"):
        read_task(str(file))
