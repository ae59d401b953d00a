"""Pipeline YAML to a validated spec: every problem at once, each with file, line and field (docs/pipelines.md).

Prompt files are read and their includes put in, so that the spec's content hash covers all that a run can see.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from domain.base import Frozen
from domain.pipelines.spec import (
    AgentPhase,
    CommandPhase,
    GitPhase,
    Limits,
    Loop,
    LoopItem,
    ModelPhase,
    Pipeline,
    ReviewPhase,
)
from pipelines.problems import PipelineProblems, Problem
from pipelines.prompt_files import PromptFiles
from pipelines.templates import check
from pipelines.yaml_tree import Path_, Tree, dotted, parse

PHASE_MODELS: dict[str, type[BaseModel]] = {
    "model": ModelPhase,
    "agent": AgentPhase,
    "review": ReviewPhase,
    "command": CommandPhase,
    "git": GitPhase,
}
"""Phase kind -> its model; a test keeps it equal to the spec's union."""
_NAME_RULE = "must be small letters, digits and dashes, start with a letter, and have at most 40 characters"


class Document(Frozen):
    """A pipeline with the files that it was read from: what the API takes."""

    pipeline: Pipeline
    yaml: str
    prompts: dict[str, str]
    """Path below the pipeline's folder -> text; includes too."""


def load_pipeline(file: Path) -> Pipeline:
    """Raises PipelineProblems (an InvalidInput) with everything that is wrong."""
    return load_document(file).pipeline


def load_document(file: Path) -> Document:
    """As load_pipeline, with the files."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PipelineProblems([_problem(file, 1, f"is not UTF-8 (byte {error.start})")]) from None
    except OSError as error:
        raise PipelineProblems([_problem(file, 1, f"cannot be read: {error.strerror}")]) from None
    return _read(text, file)


def parse_pipeline(text: str, file: Path) -> Pipeline:
    """As load_pipeline, of a text; `file` names it in errors, and its folder holds the prompts."""
    return _read(text, file).pipeline


def _read(text: str, file: Path) -> Document:
    tree = parse(text, file)
    if not isinstance(tree.data, dict):
        raise PipelineProblems([_problem(file, 1, "must be a mapping with `name` and `phases`")])
    problems: list[Problem] = []
    prompts = PromptFiles(file)
    for path, phase in _phases(tree.data):
        if isinstance(phase.get("prompt"), str) and phase.get("kind") in ("model", "agent", "review"):
            phase["prompt"] = prompts.text(phase["prompt"], at=(tree.line((*path, "prompt")), (*path, "prompt")))
        if isinstance(phase.get("message"), str):
            where = (*path, "message")
            problems += [_problem(file, tree.line(where), what, where) for _, what in check(phase["message"])]
    problems += prompts.problems
    problems += _same_names(tree, file)
    try:
        pipeline = Pipeline.model_validate(tree.data)
    except ValidationError as error:
        problems += _explained(error, tree, file, already=bool(problems))
    if problems:
        raise PipelineProblems(problems)
    return Document(pipeline=pipeline, yaml=text, prompts=prompts.texts)


def _phases(data: dict[str, Any]) -> list[tuple[Path_, dict[str, Any]]]:
    """Every phase that is written as one, with its path."""
    found: list[tuple[Path_, dict[str, Any]]] = []
    items = data.get("phases")
    for index, item in enumerate(items if isinstance(items, list) else []):
        if not isinstance(item, dict):
            continue
        loop = item.get("loop")
        if "loop" not in item:
            found.append((("phases", index), item))
        elif isinstance(loop, dict) and isinstance(loop.get("phases"), list):
            path = ("phases", index, "loop", "phases")
            found += [((*path, n), phase) for n, phase in enumerate(loop["phases"]) if isinstance(phase, dict)]
    return found


def _same_names(tree: Tree, file: Path) -> list[Problem]:
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    assert isinstance(tree.data, dict)
    for path, phase in _phases(tree.data):
        name, where = phase.get("name"), (*path, "name")
        if not isinstance(name, str):
            continue
        if name in lines:
            problems.append(
                _problem(file, tree.line(where), f"`{name}` is also the phase in line {lines[name]}", where)
            )
        lines.setdefault(name, tree.line(where))
    return problems


def _explained(error: ValidationError, tree: Tree, file: Path, *, already: bool) -> list[Problem]:
    problems: list[Problem] = []
    for detail in error.errors(include_url=False):
        path, through_loop = _yaml_path(detail["loc"])
        value = _at(tree.data, path)
        if _is_echo(detail, path, value, through_loop, tree.data) or (not path and already):
            continue
        problems.append(_problem(file, tree.line(path), _in_words(detail, path, tree.data), path))
    return problems


def _yaml_path(loc: tuple[str | int, ...]) -> tuple[Path_, bool]:
    """The path in the file: without what pydantic adds for the unions of phases; and whether it took the item as a
    loop."""
    path: list[str | int] = []
    in_union = through_loop = False
    for part in loc:
        if isinstance(part, int):
            in_union = bool(path) and path[-1] == "phases"
            path.append(part)
        elif in_union and part == "LoopItem":
            in_union, through_loop = False, True
        elif in_union and part.startswith("tagged-union["):
            continue
        elif in_union and part in PHASE_MODELS:
            in_union = False
        else:
            in_union = False
            path.append(part)
    return tuple(path), through_loop


def _is_echo(detail: ErrorDetails, path: Path_, value: object, through_loop: bool, data: object) -> bool:
    """Pydantic tries each item as a phase and as a loop: only what it was written as counts. And a list whose items
    are all wrong is not empty."""
    if detail["type"] == "too_short" and isinstance(value, list) and value:
        return True
    if len(path) < 2 or path[0] != "phases":
        return False
    item = _at(data, path[:2])
    return through_loop != (isinstance(item, dict) and "loop" in item)


def _at(data: object, path: Path_) -> object:
    for part in path:
        match data, part:
            case dict(), _ if part in data:
                data = data[part]
            case list(), int() if part < len(data):
                data = data[part]
            case _:
                return None
    return data


def _in_words(detail: ErrorDetails, path: Path_, data: object) -> str:
    kinds = ", ".join(PHASE_MODELS)
    match detail["type"]:
        case "extra_forbidden":
            return f"unknown field; {_did_you_mean(str(path[-1]), _fields_around(path, data))}"
        case "missing":
            return "is missing"
        case "union_tag_invalid":
            given = str(detail.get("ctx", {}).get("tag"))
            close = get_close_matches(given, PHASE_MODELS, n=1)
            return f"unknown kind `{given}`{f'; did you mean `{close[0]}`' if close else ''}; known kinds: {kinds}"
        case "union_tag_not_found":
            return f"`kind` is missing; known kinds: {kinds}"
        case "string_pattern_mismatch" if path and path[-1] == "name":
            return _NAME_RULE
        case "model_type" | "model_attributes_type":
            return "must be a mapping of fields"
        case "string_type" if not isinstance(detail["input"], (dict, list)):
            return f"must be text, and YAML reads it as {detail['input']!r}: quote it"
    return detail["msg"].removeprefix("Value error, ")


def _fields_around(path: Path_, data: object) -> list[str]:
    """The fields that may stand where the path's last part does."""
    parent, around = path[:-1], _at(data, path[:-1])
    if not parent:
        return list(Pipeline.model_fields)
    if parent == ("limits",):
        return list(Limits.model_fields)
    if parent[-1] == "loop":
        return list(Loop.model_fields)
    if isinstance(around, dict) and "loop" in around:
        return list(LoopItem.model_fields)
    kind = around.get("kind") if isinstance(around, dict) else None
    return list(PHASE_MODELS[str(kind)].model_fields) if kind in PHASE_MODELS else []


def _did_you_mean(given: str, fields: list[str]) -> str:
    close = get_close_matches(given, fields, n=1)
    return f"did you mean `{close[0]}`?" if close else f"known fields: {', '.join(fields)}"


def _problem(file: Path, line: int, message: str, path: Path_ = ()) -> Problem:
    return Problem(file=file, line=line, field=dotted(path), message=message)
