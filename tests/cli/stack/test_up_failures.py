"""`up` that cannot succeed: names the process, shows its log, says what to do, exits with 3 and leaves nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack.ports import any_free
from tests.support.stack import Stack, stack


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Stack]:
    ports = {name: any_free() for name in ("api", "temporal", "temporal_ui", "postgres")}
    with stack(tmp_path / "a state", tmp_path, ports=ports) as it:
        yield it


def test_a_damaged_database_file_of_temporal(made: Stack) -> None:
    made.folder.create()
    made.folder.temporal_database.write_bytes(b"this is no database" * 1000)
    done = made.millwright("up")
    assert done.returncode == 3
    assert "temporal: exit code 1" in done.stderr
    assert "file is not a database" in done.stderr
    assert "can be moved away" in done.stderr
    assert str(made.folder.log("temporal")) in done.stderr
    assert made.left_over() == []
    assert made.down() == []


def test_a_temporal_program_that_is_none(made: Stack) -> None:
    done = made.millwright("up", more={"TEMPORAL_CLI": "/no/such/program"})
    assert done.returncode == 3
    assert "TEMPORAL_CLI=/no/such/program is not a program" in done.stderr
    assert made.left_over() == []


def test_a_state_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with stack(tmp_path / "file" / "state", tmp_path) as it:
        done = it.millwright("up")
    assert done.returncode == 3
    assert str(tmp_path / "file") in done.stderr


def test_a_database_of_ones_own_that_does_not_answer(made: Stack) -> None:
    address = f"postgresql://somebody:hidden@127.0.0.1:{any_free()}/it"
    done = made.millwright("up", more={"DATABASE_URL": address, "MILLWRIGHT_ADMIN_DATABASE_URL": address})
    assert done.returncode == 3
    assert address.split("@")[1].split("/")[0] in done.stderr
    assert "DATABASE_URL" in done.stderr
    assert "hidden" not in done.stderr
    assert made.left_over() == []


def test_a_temporal_of_ones_own_that_does_not_answer(made: Stack) -> None:
    address = f"127.0.0.1:{any_free()}"
    done = made.millwright("up", more={"TEMPORAL_ADDRESS": address})
    assert done.returncode == 3
    assert address in done.stderr
    assert "TEMPORAL_ADDRESS" in done.stderr
    assert made.left_over() == []


def test_down_where_nothing_runs(made: Stack) -> None:
    done = made.millwright("down")
    assert done.returncode == 0
    assert "nothing was running" in done.stdout
    assert not made.folder.path.exists()
