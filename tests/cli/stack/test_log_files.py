"""A log that grows too large is cut while its process goes on writing."""

from pathlib import Path

import pytest

from cli.stack import log_files
from cli.stack.process import last_lines


def test_a_large_log_is_cut_and_one_older_part_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "LARGEST_BYTES", 1_000)
    log = tmp_path / "api.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"early\n" * 500)
        log_files.shrink(log)
        writer.write(b"late\n")
    assert log.read_text() == "late\n"
    assert (tmp_path / "api.log.1").read_text() == "early\n" * 500
    log_files.shrink(log)
    assert log.read_text() == "late\n"


def test_the_end_of_a_log_that_was_cut_is_still_found(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_bytes(b"one\ntwo\n\xff\n")
    assert last_lines(log, offset=4) == ["two", "�"]
    assert last_lines(log, offset=5_000) == ["one", "two", "�"], "cut since: all that is there"
    assert last_lines(tmp_path / "none.log") == []
