"""The state folder is its owner's alone, also one that was there before."""

import stat
from pathlib import Path

from cli.stack.state import StateFolder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_one_is_closed_with_all_that_is_in_it(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    assert folder.create() is None
    assert {mode(path) for path in (folder.path, *folder.path.iterdir())} == {0o700}
    assert folder.create() is None


def test_one_that_a_person_made_is_closed_and_that_is_said(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    folder.path.mkdir()
    folder.path.chmod(0o755)
    folder.temporal_database.touch()
    told = folder.create()
    assert told is not None and "closed now" in told
    assert mode(folder.path) == 0o700


def test_one_that_holds_other_things_is_left_and_that_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "letters").mkdir()
    told = StateFolder(tmp_path).create()
    assert told is not None and "holds letters, too: chmod 700" in told
    assert mode(tmp_path) == 0o755
