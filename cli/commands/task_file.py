"""`--task-file`: plain text, or a task with its hints in YAML or JSON; errors name file, line and field."""

import sys
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from cli.commands.failing import USAGE, CommandError
from cli.commands.files import text_of
from domain.runs.messages import TaskSpec
from pipelines.problems import PipelineProblems, Problem
from pipelines.yaml_tree import Tree, dotted, parse

STRUCTURED = {".yaml", ".yml", ".json"}
HINT = "Fields of a task: change (required), context, acceptance, target_paths, suggested_checks."


def read_task(name: str) -> TaskSpec:
    """`-` is standard input (plain text). Raises CommandError, or PipelineProblems for what stands in the file."""
    if name == "-":
        return task_of_text(sys.stdin.buffer.read().decode("utf-8", "replace"), "standard input")
    path = Path(name)
    text = text_of(path)
    if path.suffix.lower() not in STRUCTURED:
        return task_of_text(text, str(path))
    tree = parse(text, path)
    if not isinstance(tree.data, dict):
        raise PipelineProblems([Problem(file=path, line=1, field="", message="must be a mapping")], hint=HINT)
    try:
        return TaskSpec.model_validate(tree.data)
    except ValidationError as error:
        raise PipelineProblems(_problems(error, tree, path), hint=HINT) from None


def task_of_text(text: str, source: str) -> TaskSpec:
    try:
        return TaskSpec(change=text.strip())
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        if not text.strip():
            message = "is empty; say what is to be changed"
        raise CommandError(
            f"The task ({source}) {message}.", hint="Give it as plain text.", field="task.change", exit_code=USAGE
        ) from None


def _problems(error: ValidationError, tree: Tree, path: Path) -> list[Problem]:
    found: list[Problem] = []
    for detail in error.errors(include_url=False):
        message = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "extra_forbidden":
            close = get_close_matches(str(detail["loc"][-1]), TaskSpec.model_fields, n=1)
            message = f"unknown field; did you mean `{close[0]}`?" if close else "unknown field"
        if detail["type"] == "missing":
            message = "is missing"
        found.append(Problem(file=path, line=tree.line(detail["loc"]), field=dotted(detail["loc"]), message=message))
    return found
