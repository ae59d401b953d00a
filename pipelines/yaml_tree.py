"""YAML text to plain data with the line of every field. PyYAML's composer keeps the marks that its loader drops."""

from collections.abc import Callable
from pathlib import Path

import yaml

from pipelines.problems import PipelineProblems, Problem

Path_ = tuple[str | int, ...]

SIZE_LIMIT = 1_000_000
"""Characters of one YAML file."""
NODES_LIMIT = 20_000
"""Nodes after aliases are expanded: a small file can name billions."""


class Tree:
    """The data of one file, and where each part of it stands."""

    def __init__(self, data: object, lines: dict[Path_, int]) -> None:
        self.data = data
        self._lines = lines

    def line(self, path: Path_) -> int:
        """Of the part at the path, or of the nearest part around it."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)


def dotted(path: Path_) -> str:
    return ".".join(str(part) for part in path)


def parse(text: str, file: Path) -> Tree:
    """Raises PipelineProblems: no YAML, empty, too large, duplicate keys, keys that are no text."""
    if len(text) > SIZE_LIMIT:
        raise PipelineProblems([_problem(file, 1, f"has {len(text):,} characters; the limit is {SIZE_LIMIT:,}")])
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            raise PipelineProblems([_problem(file, 1, "is empty; write a pipeline with `name` and `phases`")])
        walk = _Walk(file, loader.construct_object)
        data = walk.value(root, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise PipelineProblems([_problem(file, mark.line + 1 if mark else 1, _in_words(error))]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = error.character if isinstance(error.character, int) else ord(error.character)
        message = f"has the character U+{code:04X}, which YAML does not allow"
        raise PipelineProblems([_problem(file, line, message)]) from None
    except RecursionError:
        raise PipelineProblems([_problem(file, 1, "is nested too deeply")]) from None
    if walk.problems:
        raise PipelineProblems(walk.problems)
    return Tree(data, walk.lines)


class _Walk:
    def __init__(self, file: Path, construct: Callable[[yaml.Node], object]) -> None:
        self._file = file
        self._construct = construct
        self._open: set[int] = set()
        self._nodes = 0
        self.lines: dict[Path_, int] = {}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: Path_) -> object:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._nodes += 1
        if id(node) in self._open or self._nodes > NODES_LIMIT:
            what = "an alias names a part that contains it" if id(node) in self._open else "aliases expand to too much"
            raise PipelineProblems([_problem(self._file, line, what, path)])
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._scalar(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(_problem(self._file, line, "a field's name must be plain text", path))
                continue
            key = str(key_node.value)
            if key in found:
                first = self.lines[(*path, key)]
                message = f"stands twice (first in line {first}); keep one"
                self.problems.append(_problem(self._file, line, message, (*path, key)))
                continue
            self.lines[(*path, key)] = line
            found[key] = self.value(value_node, (*path, key))
        return found

    def _scalar(self, node: yaml.Node, path: Path_) -> object:
        try:
            return self._construct(node)
        except ValueError as error:  # a number or date that only looks like one
            line = node.start_mark.line + 1
            self.problems.append(_problem(self._file, line, f"cannot be read ({error}); quote it", path))
            return None


def _in_words(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "not YAML"
    if "'\\t'" in problem:
        return "is indented with a tab; YAML indents with spaces"
    around = f" {error.context}" if error.context else ""
    return f"is not YAML: {problem}{around}"


def _problem(file: Path, line: int, message: str, path: Path_ = ()) -> Problem:
    return Problem(file=file, line=line, field=dotted(path), message=message)
