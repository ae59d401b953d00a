"""docs/cli.md names every command and every exit code."""

from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from cli.__main__ import app
from cli.commands import failing

DOC = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
CODES = {name: value for name, value in vars(failing).items() if name.isupper() and isinstance(value, int)}


def _commands(group: TyperGroup, prefix: str) -> list[str]:
    found: list[str] = []
    for name, command in group.commands.items():
        full = f"{prefix} {name}"
        found += _commands(command, full) if isinstance(command, TyperGroup) else [full]
    return found


def _all() -> list[str]:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    return _commands(root, "millwright")


@pytest.mark.parametrize("command", _all())
def test_every_command_is_documented(command: str) -> None:
    assert f"| `{command}` |" in DOC, f"docs/cli.md has no row for `{command}`"


def test_no_command_is_documented_that_is_not_there() -> None:
    rows = {line.split("`")[1] for line in DOC.splitlines() if line.startswith("| `millwright")}
    assert rows == set(_all())


@pytest.mark.parametrize("name", sorted(CODES))
def test_every_exit_code_is_documented(name: str) -> None:
    assert f"| {CODES[name]} |" in DOC
