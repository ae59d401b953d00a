"""Live output of an external agent: the first part at once, of the rest the end, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from activities.agents.external.shown import BATCH_CHARACTERS, HEAD_CHARACTERS, TAIL_CHARACTERS, Shown


@given(st.lists(st.text(max_size=200)))
def test_what_fits_is_shown_whole_and_in_order(texts: list[str]) -> None:
    shown, live = Shown(), ""
    for text in texts:
        shown.add(text)
        live += shown.take()
    assert live + shown.finish() == shown.text == "".join(texts)


def test_a_batch_is_due_when_it_is_large() -> None:
    shown = Shown()
    shown.add("x" * (BATCH_CHARACTERS - 1))
    assert not shown.is_due
    shown.add("x")
    assert shown.is_due
    shown.take()
    assert not shown.is_due


def test_of_a_flood_head_and_tail_stay_with_the_count_between() -> None:
    shown, live = Shown(), ""
    for number in range(400_000):
        shown.add(f"{number:06}\n")
        if shown.is_due:
            live += shown.take()
    live += shown.finish()
    assert live == shown.text
    left_out = 400_000 * 7 - HEAD_CHARACTERS - TAIL_CHARACTERS
    assert f"[… {left_out:,} characters left out …]" in live
    assert live.startswith("000000\n000001\n") and live.endswith("399998\n399999\n")
    assert len(live) < HEAD_CHARACTERS + TAIL_CHARACTERS + 100
