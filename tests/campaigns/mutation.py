"""Faults by mutation: small changes of one expression, found on the syntax tree and spliced into the text.

Each site gives the fault and, where the operator has a second way to be wrong, a first attempt that mends nothing.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    COMPARISON = "comparison flipped"
    ARITHMETIC = "arithmetic changed"
    BOUNDARY = "boundary off by one"
    NEGATION = "condition negated"
    RETURN = "return value dropped"


@dataclass(frozen=True)
class Mutation:
    """`start` and `end` are positions in the file's UTF-8 bytes; `fault` and `other` replace what lies between."""

    kind: Kind
    line: int
    start: int
    end: int
    fault: str
    other: str | None
    """Another wrong text at the same place."""

    def apply(self, source: bytes, text: str) -> bytes:
        return source[: self.start] + text.encode() + source[self.end :]


_FLIPPED = {
    ast.Lt: ("<", ">=", ">"),
    ast.LtE: ("<=", ">", "<"),
    ast.Gt: (">", "<=", "<"),
    ast.GtE: (">=", "<", ">"),
    ast.Eq: ("==", "!=", "<"),
    ast.NotEq: ("!=", "==", "<"),
    ast.In: ("in", "not in", None),
    ast.Is: ("is", "is not", None),
}
_CHANGED = {
    ast.Add: ("+", "-", "*"),
    ast.Sub: ("-", "+", "*"),
    ast.Mult: ("*", "+", "-"),
    ast.FloorDiv: ("//", "*", "-"),
    ast.Mod: ("%", "*", "-"),
}


def mutations(source: bytes) -> list[Mutation]:
    """Every site of the file, in the order of its text. Raises SyntaxError."""
    tree = ast.parse(source)
    text = _Positions(source)
    found = [mutation for node in ast.walk(tree) for mutation in _of_node(node, text)]
    return sorted(found, key=lambda one: (one.start, one.kind))


class _Positions:
    """Byte positions of nodes: the syntax tree counts lines, and bytes within each."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def start(self, node: ast.expr) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr) -> int:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset


def _of_node(node: ast.AST, text: _Positions) -> Iterator[Mutation]:
    match node:
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _FLIPPED:
            yield from _operator(Kind.COMPARISON, left, right, _FLIPPED[type(operator)], text)
            if isinstance(right, ast.Constant) and type(right.value) is int:
                yield _boundary(right, right.value, text)
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _CHANGED:
            yield from _operator(Kind.ARITHMETIC, left, right, _CHANGED[type(operation)], text)
        case ast.Slice(lower=ast.Constant(value=int() as number) as bound) if type(number) is int:
            yield _boundary(bound, number, text)
        case ast.If(test=test) | ast.IfExp(test=test) if not isinstance(test, ast.Compare):
            yield _replaced(Kind.NEGATION, test, text, "(not ({}))", "(({}) and False)")
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield _replaced(Kind.RETURN, value, text, "None", None)


def _operator(
    kind: Kind, left: ast.expr, right: ast.expr, words: tuple[str, str, str | None], text: _Positions
) -> Iterator[Mutation]:
    """The operator has no position of its own: it is the one word between its two sides, if nothing else is there."""
    begin, end = text.end(left), text.start(right)
    between = re.fullmatch(rb"([\s)]*)" + re.escape(words[0].encode()) + rb"([\s(]*)", text.source[begin:end])
    if between:
        start = begin + between.end(1)
        yield Mutation(kind, left.lineno, start, start + len(words[0]), words[1], words[2])


def _boundary(constant: ast.expr, number: int, text: _Positions) -> Mutation:
    where = text.start(constant), text.end(constant)
    return Mutation(Kind.BOUNDARY, constant.lineno, *where, str(number + 1), str(number + 2))


def _replaced(kind: Kind, node: ast.expr, text: _Positions, fault: str, other: str | None) -> Mutation:
    start, end = text.start(node), text.end(node)
    now = text.source[start:end].decode()
    return Mutation(kind, node.lineno, start, end, fault.format(now), other.format(now) if other else None)
