"""Time limit, stall, and what counts as progress."""

from domain.sandbox.ports import CommandEnd
from tests.adapters.sandbox.conftest import Bench


async def test_time_limit(bench: Bench) -> None:
    result = await bench.run("trap '' TERM; setsid sleep 1000 & echo last words; while :; do sleep 1; done",
                             time_limit_seconds=1.0)  # fmt: skip
    assert result.end is CommandEnd.TIME_LIMIT
    assert result.tail == "last words"
    assert bench.living() == []


async def test_silence_is_a_stall_that_says_what_came_last(bench: Bench) -> None:
    result = await bench.run("echo one; echo two; sleep 1000", stall_seconds=1.5)
    assert result.end is CommandEnd.STALLED
    assert result.tail == "one\ntwo"
    assert bench.living() == []


async def test_output_is_progress(bench: Bench) -> None:
    result = await bench.run("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.25; printf .; done", stall_seconds=2.0)
    assert (result.end, result.output) == (CommandEnd.EXITED, "." * 12)


async def test_work_without_a_word_is_progress(bench: Bench) -> None:
    burn = "import time\nend = time.monotonic() + 5\nwhile time.monotonic() < end: pass"
    result = await bench.run(f"setsid python -c '{burn}' & wait", stall_seconds=2.5)
    assert (result.end, result.output) == (CommandEnd.EXITED, "")
    assert result.run_seconds > 2 * 2.5 - 1


async def test_work_of_short_lived_children_is_progress(bench: Bench) -> None:
    """Each child is gone before anyone looks; what it used shows in its parent."""
    script = "end=$(( $(date +%s) + 6 )); while [ $(date +%s) -lt $end ]; do seq 20000 > /dev/null; done"
    assert (await bench.run(script, stall_seconds=2.5)).end is CommandEnd.EXITED


async def test_a_sleeping_poll_loop_is_no_progress(bench: Bench) -> None:
    result = await bench.run(bench.python("import time\nwhile True: time.sleep(0.1)"), stall_seconds=3.0)
    assert result.end is CommandEnd.STALLED
