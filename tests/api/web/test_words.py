"""Every status has a word and an icon, and unequal models are both named."""

import pytest

from api.web import words
from domain.runs.words import PhaseStatus, RunStatus, StepStatus


def test_every_status_has_its_look() -> None:
    assert set(words.RUN) == set(RunStatus)
    assert set(words.PHASE) == set(PhaseStatus)
    assert set(words.STEP) == set(StepStatus)
    for table in (words.RUN, words.PHASE, words.STEP):
        for status, look in table.items():
            assert look.word and look.icon, status


def test_looks_that_differ_differ_without_colour() -> None:
    for table in (words.RUN, words.PHASE, words.STEP):
        assert len({look.word for look in table.values()}) == len(table)


@pytest.mark.parametrize(
    ("asked", "answered", "shown"),
    [
        ("scripted:demo", "demo", "scripted:demo"),
        ("openai:gpt-5-mini", None, "openai:gpt-5-mini"),
        ("openai:gpt-5-mini", "gpt-5-mini-2026", "gpt-5-mini-2026 (asked for openai:gpt-5-mini)"),
        (None, "demo", "demo"),
        (None, None, ""),
    ],
)
def test_the_model_asked_for_and_the_one_that_answered(asked: str | None, answered: str | None, shown: str) -> None:
    assert words.model(asked, answered) == shown


@pytest.mark.parametrize(
    ("code", "signal", "shown"), [(0, None, "Exit 0"), (1, None, "Exit 1"), (None, "SIGKILL", "Ended by SIGKILL")]
)
def test_exits_are_shown_the_good_one_too(code: int | None, signal: str | None, shown: str) -> None:
    assert words.exit_text(code, signal) == shown
