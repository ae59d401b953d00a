"""The shipped script of the demo tells its story on the sample repository: a wrong fix, then the right one."""

import subprocess
from pathlib import Path

import pytest

from adapters.providers.script import load_script
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.fingerprint import label, of_output
from domain.runs.model_output import files_of, verdict_of
from pipelines import sample

SCRIPT = load_script(Path(sample.__file__).parent / "scripts" / "demo.yaml")


def _answer(role: str, turn: int) -> str:
    reply = SCRIPT.reply(role, turn)
    assert reply is not None
    return reply.body


def _tests(repo: Path, turn: int) -> subprocess.CompletedProcess[str]:
    for path, text in files_of(_answer("coder", turn)).items():
        assert text is not None
        (repo / path).write_text(text)
    return subprocess.run(
        ["/bin/sh", "-c", sample.TEST_COMMAND], cwd=repo, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    sample.make_sample_repository(tmp_path / "sample")
    return tmp_path / "sample"


def test_the_first_fix_fails_other_tests_and_the_second_mends_all(repo: Path) -> None:
    wrong = _tests(repo, 1)
    assert wrong.returncode != 0
    failure = PhaseError(kind=ErrorKind.COMMAND_FAILED, message="x")
    shown = label(of_output(wrong.stderr, failure))
    assert "test_nobody_is_off_by_a_whole_cent" in shown
    assert "test_shares_add_up_to_the_bill" not in shown
    right = _tests(repo, 2)
    assert right.returncode == 0, right.stderr


@pytest.mark.parametrize("turn", [1, 2, 7])
def test_it_has_an_answer_for_every_role_and_turn(turn: int) -> None:
    assert _answer("planner", turn)
    assert verdict_of(_answer("reviewer", turn)).approved
    assert files_of(_answer("coder", turn))
