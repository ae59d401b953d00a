"""Mutations change what they say, exactly there, and always leave a file that can be read."""

import ast

import pytest

from tests.campaigns.mutation import Kind, mutations
from tests.campaigns.projects import HERE, all_projects

SOURCE = """\
def größer(a, b):  # bytes and characters differ on this line
    if not a and (a < b):
        return [x for x in b[1:] if x in (a, b)]
    return ((a) + (b)) // 2 if a == 3 else None


def plain():
    return 1
""".encode()


def changed(kind: Kind) -> set[str]:
    """Every changed text of one kind, as the line that differs."""
    found = set()
    for mutation in mutations(SOURCE):
        if mutation.kind is kind:
            mutated = mutation.apply(SOURCE, mutation.fault).decode().splitlines()
            found |= {new for new, old in zip(mutated, SOURCE.decode().splitlines(), strict=True) if new != old}
    return found


def test_comparisons() -> None:
    assert changed(Kind.COMPARISON) == {
        "    if not a and (a >= b):",
        "        return [x for x in b[1:] if x not in (a, b)]",
        "    return ((a) + (b)) // 2 if a != 3 else None",
    }


def test_arithmetic() -> None:
    assert changed(Kind.ARITHMETIC) == {
        "    return ((a) - (b)) // 2 if a == 3 else None",
        "    return ((a) + (b)) * 2 if a == 3 else None",
    }


def test_boundaries() -> None:
    assert changed(Kind.BOUNDARY) == {
        "        return [x for x in b[2:] if x in (a, b)]",
        "    return ((a) + (b)) // 2 if a == 4 else None",
    }


def test_conditions_and_return_values() -> None:
    assert changed(Kind.NEGATION) == {"    if (not (not a and (a < b))):"}
    assert changed(Kind.RETURN) == {"        return None", "    return None"}


def test_every_mutated_text_is_python() -> None:
    found = mutations(SOURCE)
    assert {mutation.kind for mutation in found} == set(Kind)
    for mutation in found:
        for text in filter(None, (mutation.fault, mutation.other)):
            ast.parse(mutation.apply(SOURCE, text))


def test_projects_and_their_tools_are_pinned_by_hash() -> None:
    assert len(all_projects()) >= 6
    assert all(len(project.sha256) == 64 for project in all_projects())
    tools = (HERE / "project_tools.txt").read_text().replace("\\\n", " ").splitlines()
    assert [line for line in tools if line and not line.startswith("#") and "--hash=sha256:" not in line] == []


def test_a_file_that_is_not_python_is_said() -> None:
    with pytest.raises(SyntaxError):
        mutations(b"def (")
