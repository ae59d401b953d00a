"""An agent works for hours: the page says what it has used until now, and why it stopped."""

import re

from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.words import OutcomeKind, StepKind
from tests.api.recorded import OpenedRun, Recorder
from tests.api.served import Served

TAGS = re.compile(r"<[^>]+>")


async def page(api: Served, opened: OpenedRun) -> str:
    answer = await api.client.get(f"/ui/runs/{opened.id}", headers=api.ours.header())
    assert answer.status_code == 200, answer.text
    return re.sub(r"\s+", " ", TAGS.sub(" ", answer.text))


async def answered(api: Served, opened: OpenedRun, key: str, *, cost: str | None = "0.25") -> None:
    """The step of a model call, as `end_call` leaves it."""
    async with api.database.organization(api.ours.id) as connection:
        await connection.execute(
            "UPDATE step SET status = 'done', ended_at = now(), model_asked = 'openai:big', tokens_in = 1200,"
            " tokens_out = 30, tokens_cached = 0, cost_usd = %s WHERE run_id = %s AND key = %s",
            (cost, opened.id, key),
        )


async def test_what_the_running_phase_used_is_on_the_page_before_it_ends(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    phase = await opened.begin("implement")
    await phase.step("turn#1", StepKind.MODEL_CALL)
    said = await page(api, opened)
    assert "none asked yet" in said and "by the phase that runs" not in said
    for turn in ("turn#1", "turn#2"):
        if turn != "turn#1":
            await phase.step(turn, StepKind.MODEL_CALL)
        await answered(api, opened, turn)
    said = await page(api, opened)
    assert "openai:big" in said and "none asked yet" not in said
    assert "and 2.4k in, 60 out by the phase that runs" in said
    assert "and $0.50 by the phase that runs" in said
    await phase.step("turn#3", StepKind.MODEL_CALL)
    await answered(api, opened, "turn#3", cost=None)
    assert re.search(r"and ≥ \$0\.50 \+ unpriced by the phase that runs", await page(api, opened))


async def test_a_phase_that_was_ended_still_names_the_model_that_it_asked(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    phase = await opened.begin("implement")
    await phase.step("turn#1", StepKind.MODEL_CALL)
    await answered(api, opened, "turn#1")
    await phase.failed()
    await opened.end(OutcomeKind.CANCELLED)
    assert "openai:big" in await page(api, opened)


async def test_an_agent_that_got_stuck_is_not_told_as_iterations_that_made_the_same_change(
    api: Served, recorder: Recorder
) -> None:
    opened = await recorder.open_run()
    error = PhaseError(
        kind=ErrorKind.INVALID_OUTPUT, message="The agent did the same thing 4 times in a row.", hint="Make it clearer."
    )
    await opened.end(OutcomeKind.STUCK, detail="implement", error=error)
    said = await page(api, opened)
    assert "Failed: implement got stuck" in said and "did the same thing 4 times" in said
