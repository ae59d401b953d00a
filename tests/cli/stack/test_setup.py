"""`make setup` does nothing where nothing is missing, and every other target depends on it."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TARGETS = ["demo", "up", "down", "test", "data-test", "check", "bench", "kill-test", "real-projects"]


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_sets_up_first(target: str) -> None:
    of_its_own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "-n", target]
    done = subprocess.run(command, cwd=ROOT, env=of_its_own, capture_output=True, text=True, check=True)
    first, *others = done.stdout.splitlines()
    assert first.endswith("deploy/setup.py")
    assert others


def test_a_set_up_tree_needs_nothing() -> None:
    vendor = ROOT / "api" / "web" / "static" / "vendor"
    before = {path: path.stat().st_mtime_ns for path in vendor.iterdir()}
    assert {path.name for path in before} >= {"htmx.min.js"}, "run `make setup`"
    done = subprocess.run([sys.executable, "deploy/setup.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "fetching" not in done.stdout
    assert {path: path.stat().st_mtime_ns for path in vendor.iterdir()} == before


def test_set_up_runs_on_an_old_python() -> None:
    """Before uv is there, it is the machine's Python that runs it."""
    ast.parse((ROOT / "deploy" / "setup.py").read_text(), feature_version=(3, 8))


def test_tools_and_libraries_are_pinned_by_hash() -> None:
    for name in ("uv", "go", "node"):
        assert "--hash=sha256:" in (ROOT / "deploy" / "tools" / f"{name}.txt").read_text()
    lock = (ROOT / "package-lock.json").read_text()
    assert lock.count('"integrity": "sha512-') == lock.count("node_modules/")
    assert "resolved" not in lock, "the user's registry is used, not the one of whoever locked"
