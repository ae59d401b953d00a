"""What is said of a commit."""

import pytest

from domain.runs.ports import CommitFacts


@pytest.mark.parametrize(
    ("files", "lines", "said"),
    [
        (1, 2, "aaaaaaaaaaaa Mend dates (1 file, +2 -0)"),
        (3, 0, "aaaaaaaaaaaa Mend dates (3 files, +0 -0)"),
        (1, None, "aaaaaaaaaaaa Mend dates (1 file, lines not counted)"),
    ],
)
def test_files_and_lines_are_said_as_they_are_known(files: int, lines: int | None, said: str) -> None:
    deleted = None if lines is None else 0
    facts = CommitFacts(sha="a" * 40, subject="Mend dates", files_changed=files, insertions=lines, deletions=deleted)
    assert facts.line == said
