"""A skip in CI fails; elsewhere it is a skip."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("ci", "impossible", "exit_code", "word"),
    [
        ("true", "", 1, "not allowed in CI"),
        ("true", "something else", 1, "not allowed in CI"),
        ("true", "wh", 0, "1 skipped"),
        ("", "", 0, "1 skipped"),
    ],
)
@pytest.mark.parametrize(
    "how", ["@pytest.mark.skip(reason='why')\ndef test_it(): ...", "pytest.importorskip('nowhere')"]
)
def test_a_skip_fails_only_in_ci(tmp_path: Path, ci: str, impossible: str, exit_code: int, word: str, how: str) -> None:
    (tmp_path / "test_skipping.py").write_text(f"import pytest\n{how}\ndef test_other(): ...\n")
    (tmp_path / "test_running.py").write_text("def test_other(): ...\n")
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", str(tmp_path)],
        env={**os.environ, "CI": ci, "CI_CANNOT": impossible, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == (exit_code != 0), done.stdout + done.stderr
    assert word in done.stdout
