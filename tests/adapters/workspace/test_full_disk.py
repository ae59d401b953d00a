"""A full disk says which disk and what to do, leaves nothing half-made, and work goes on when there is room."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.workspace.conftest import ROOT, UserRepo

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def test_a_full_disk(user_repo: UserRepo, tmp_path: Path) -> None:
    may = subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "x", str(tmp_path)], capture_output=True, check=False)
    if may.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {may.stderr.decode(errors='replace').strip()}")
    user_repo.commit({f"data/{n}.txt": os.urandom(20_000).hex() for n in range(10)})
    words = [
        *NAMESPACE,
        sys.executable,
        "-m",
        "tests.adapters.workspace.small_disk",
        str(tmp_path),
        str(user_repo.path),
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for what in ("prepare", "prepare another", "snapshot", "snapshot large", "restore", "write_files"):
        assert told[what] is not None, f"{what} did not notice the full disk"
        assert told[what]["kind"] == "storage", told[what]
        assert f"{tmp_path}/small" in told[what]["message"]
        assert "Free space" in told[what]["hint"]
    assert told["left by prepare"] == []
    assert told["left by prepare another"] == []
    assert told["left by snapshot large"] == []
    assert told["left by write_files"] == []
    assert told["restored after"]
    assert told["equal after"]
    assert told["fsck"] == ""
