"""The `temporal` program of this machine, as `make setup` left it."""

from pathlib import Path

from cli.stack import temporal_binary
from cli.stack.settings import StackSettings


def temporal_program() -> Path:
    """Never downloads nor builds: that is not a test's work."""
    settings = StackSettings()
    folder = settings.state_folder / "bin"
    found = temporal_binary.find(folder, given=settings.temporal_cli, search_path=settings.search_path)
    assert found is not None, "no `temporal` program: run `make setup`, or set TEMPORAL_CLI"
    return found.path
