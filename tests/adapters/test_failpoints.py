"""Kill points count each hit, and exactly one process takes an armed kill."""

import signal
import subprocess
import sys
from pathlib import Path

from adapters.failpoints import FolderFailpoints, failpoints
from domain.failpoints import NoFailpoints, Point

HIT = """
import sys
from pathlib import Path
from adapters.failpoints import FolderFailpoints
from domain.failpoints import Point
FolderFailpoints(Path(sys.argv[1])).hit(Point.PHASE_AFTER_BEGIN)
"""


def test_nothing_happens_without_a_folder() -> None:
    assert isinstance(failpoints(None), NoFailpoints)


def test_hits_are_counted(tmp_path: Path) -> None:
    points = FolderFailpoints(tmp_path)
    points.hit(Point.PHASE_AFTER_BEGIN)
    points.hit(Point.PHASE_AFTER_BEGIN)
    assert (tmp_path / "phase.after_begin.hits").read_bytes() == b".."


def test_an_armed_kill_is_taken_once(tmp_path: Path) -> None:
    (tmp_path / "phase.after_begin.arm").write_text("SIGKILL")
    ends = [subprocess.run([sys.executable, "-c", HIT, str(tmp_path)], check=False).returncode for _ in range(2)]
    assert ends == [-signal.SIGKILL, 0]
    assert (tmp_path / "phase.after_begin.kills").read_bytes() == b"."
    assert not list(tmp_path.glob("*.taken.*"))
