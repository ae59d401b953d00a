"""docs/dependencies.md says of every library why it is here."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {re.split(r"[<>=~\[ ]", line)[0] for line in asked}
    told = (ROOT / "docs" / "dependencies.md").read_text()
    missing = sorted(name for name in names if name not in told and name.removeprefix("opentelemetry") not in told)
    assert not missing, f"add a line to docs/dependencies.md (what for, what else was looked at) for: {missing}"
