"""Going in circles is seen, and getting on is not taken for it."""

from hypothesis import given
from hypothesis import strategies as st

from domain.agents.conversation import Turn
from domain.agents.stuck import FAULTS_IN_A_ROW, PING_PONG_TURNS, SAME_IN_A_ROW, stuck_in
from tests.domain.agents.build import TOOLS, call, turn


def _turns(*actions: tuple[str, str]) -> list[Turn]:
    """Of (path read, what was seen)."""
    return [
        turn(n, call(arguments=f'{{"path": "{path}"}}'), results=(seen,)) for n, (path, seen) in enumerate(actions, 1)
    ]


def test_the_same_thing_again_and_again_is_stuck_with_what_was_seen() -> None:
    assert stuck_in(_turns(*[("a", "x")] * (SAME_IN_A_ROW - 1)), TOOLS) is None
    evidence = stuck_in(_turns(*[("a", "seen here")] * SAME_IN_A_ROW), TOOLS)
    assert evidence is not None
    assert "the same thing 4 times" in evidence.message and "seen here" in evidence.excerpt


def test_the_same_arguments_are_the_same_however_they_are_written() -> None:
    written = ['{"path": "a", "limit": 3}', '{"limit":3,"path":"a"}'] * 2
    turns = [turn(n, call(arguments=arguments)) for n, arguments in enumerate(written, 1)]
    assert stuck_in(turns, TOOLS) is not None


def test_polling_that_shows_progress_is_none() -> None:
    assert stuck_in(_turns(*[("a", f"{n} of 9 done") for n in range(9)]), TOOLS) is None


def test_only_a_time_that_differs_is_no_progress() -> None:
    seen = [("a", f"1 failed in 0.{n}2s at 12:00:0{n}") for n in range(SAME_IN_A_ROW)]
    assert stuck_in(_turns(*seen), TOOLS) is not None


def test_back_and_forth_is_stuck_after_three_rounds() -> None:
    pair = [("a", "x"), ("b", "y")]
    assert stuck_in(_turns(*(pair * 3)[: PING_PONG_TURNS - 1]), TOOLS) is None
    evidence = stuck_in(_turns(*(pair * 3)), TOOLS)
    assert evidence is not None and "back and forth" in evidence.message
    assert stuck_in(_turns(*pair, ("c", "z"), *pair, *pair), TOOLS) is None


def test_replies_that_cannot_be_carried_out_are_stuck() -> None:
    faulty = [turn(1, text="one"), turn(2, call(name="send_mail")), turn(3, call(arguments="{"))]
    evidence = stuck_in(faulty, TOOLS)
    assert evidence is not None
    assert "no tool call, unknown tool, invalid arguments" in evidence.message
    assert stuck_in([*faulty[:2], turn(3, call()), *faulty[:2]], TOOLS) is None


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy")), max_size=30))
def test_it_ends_soon_after_the_last_new_thing(actions: list[tuple[str, str]]) -> None:
    """An agent that repeats one or two things for ever is stopped within so many turns."""
    turns = _turns(*actions, *[("a", "same")] * SAME_IN_A_ROW)
    assert stuck_in(turns, TOOLS) is not None


@given(st.lists(st.booleans(), max_size=20))
def test_faults_are_only_counted_in_a_row(faulty: list[bool]) -> None:
    turns = [
        turn(n, text=f"{n}") if bad else turn(n, call(arguments=f'{{"path": "{n}"}}')) for n, bad in enumerate(faulty)
    ]
    in_a_row = len(faulty) >= FAULTS_IN_A_ROW and all(faulty[-FAULTS_IN_A_ROW:])
    assert (stuck_in(turns, TOOLS) is not None) == in_a_row
