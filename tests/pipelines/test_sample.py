"""The sample has the bug that its task tells; the scripted fixes are wrong, then right, by its own tests."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.providers.script import load_script
from domain.errors import InvalidInput
from pipelines import sample

SCRIPT = load_script(Path(sample.__file__).parent / "scripts" / "demo.yaml")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    sample.make_sample_repository(tmp_path / "sample repository")
    return tmp_path / "sample repository"


def failing_tests(repository: Path) -> tuple[int, set[str]]:
    """Exit code and the failing tests."""
    words = [sys.executable, "-B", *sample.TEST_COMMAND.split()[1:]]
    done = subprocess.run(words, cwd=repository, capture_output=True, text=True, check=False)
    return done.returncode, set(re.findall(r"^(?:FAIL|ERROR): (\w+)", done.stderr, re.MULTILINE))


def apply_turn(repository: Path, turn: int) -> None:
    reply = SCRIPT.reply("coder", turn, turn)
    assert reply is not None and reply.files is not None
    for name, text in reply.files.items():
        assert text is not None and (repository / name).exists()
        (repository / name).write_text(text)


def test_the_bug_is_real_and_only_the_second_fix_mends_it(repository: Path) -> None:
    assert failing_tests(repository) == (
        1,
        {"test_shares_add_up_to_the_bill", "test_the_largest_fraction_gets_the_cent"},
    )
    apply_turn(repository, 1)
    assert failing_tests(repository) == (
        1, {"test_nobody_is_off_by_a_whole_cent", "test_the_largest_fraction_gets_the_cent"}
    )  # fmt: skip
    apply_turn(repository, 2)
    assert failing_tests(repository) == (0, set())


def test_the_script_has_a_reply_for_each_role_of_the_pipeline() -> None:
    assert all(SCRIPT.reply(role, turn, turn) for role in ("planner", "coder", "reviewer") for turn in (1, 2, 3))
    assert sample.TASK.target_paths == tuple(SCRIPT.reply("coder", 1, 1).files or ())  # type: ignore[union-attr]


def test_it_is_the_same_commit_everywhere_and_made_once(repository: Path, tmp_path: Path) -> None:
    first = sample.make_sample_repository(repository)
    (repository / "README.md").write_text("changed by a person\n")
    assert sample.make_sample_repository(repository) == first
    assert (repository / "README.md").read_text() == "changed by a person\n"
    (tmp_path / "empty").mkdir()
    assert sample.make_sample_repository(tmp_path / "empty") == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "sample repository"]


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine\n")
    with pytest.raises(InvalidInput, match="not empty"):
        sample.make_sample_repository(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
