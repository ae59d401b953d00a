"""The run page as a person sees it: what runs, for how long, and what it prints, live."""

import pytest
from playwright.async_api import Page, expect

from domain.runs.words import OutcomeKind
from tests.api.recorded import BegunPhase, OpenedRun
from tests.browser.conftest import Site

pytestmark = pytest.mark.browser

PATIENCE_MS = 20_000
RUNNING = ".rail .phase.is-running"


async def verifying(site: Site) -> tuple[OpenedRun, BegunPhase]:
    """Iteration 2 verifies now."""
    opened = await site.recorder.open_run("Mend the adder")
    await (await opened.begin("implement")).passed()
    first = await opened.begin("verify")
    await first.say("1 failed\n")
    await first.failed()
    await (await opened.begin("implement", iteration=2)).passed()
    phase = await opened.begin("verify", iteration=2)
    await phase.step("python -m pytest -q")
    return opened, phase


async def seconds_of(page: Page) -> int:
    text = await page.inner_text(f"{RUNNING} [data-since]")
    minutes, _, rest = text.rpartition("m ")
    return int(minutes or 0) * 60 + int(float(rest.removesuffix("s").removesuffix("m")))


async def test_one_phase_runs_with_a_timer_that_ticks_and_survives_a_reload(site: Site) -> None:
    opened, _ = await verifying(site)
    page = await site.page()
    await page.goto(f"/ui/runs/{opened.id}")
    await expect(page.locator(RUNNING)).to_have_count(1)
    await expect(page.locator(RUNNING)).to_contain_text("Running for")
    before = await seconds_of(page)
    await page.wait_for_function(
        "([rail, before]) => parseInt(document.querySelector(rail + ' [data-since]').textContent) > before",
        arg=[RUNNING, before],
        timeout=PATIENCE_MS,
    )
    ticked = await seconds_of(page)
    await page.reload()
    assert await seconds_of(page) >= ticked, "the timer starts from the server's own start time"


async def test_motion_is_seen_and_taken_away_on_request_while_the_word_stays(site: Site) -> None:
    opened, _ = await verifying(site)
    for motion, moves in (("no-preference", True), ("reduce", False)):
        page = await site.page(reduced_motion=motion)
        await page.goto(f"/ui/runs/{opened.id}")
        name = await page.eval_on_selector(RUNNING, "each => getComputedStyle(each).animationName")
        assert (name != "none") is moves
        await expect(page.locator(RUNNING).get_by_text("Running", exact=True)).to_be_visible()


@pytest.mark.parametrize(("width", "beside"), [(1280, True), (1024, True), (1000, False), (390, False)])
async def test_details_and_worktree_stand_side_by_side_where_there_is_room(
    site: Site, width: int, beside: bool
) -> None:
    opened, _ = await verifying(site)
    page = await site.page(viewport={"width": width, "height": 844})
    await page.goto(f"/ui/runs/{opened.id}")
    details = await page.locator("section", has=page.locator("#details")).last.bounding_box()
    worktree = await page.locator("section", has=page.locator("#worktree")).last.bounding_box()
    assert details is not None and worktree is not None
    assert (details["y"] == worktree["y"]) is beside
    assert await page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is cut off at the side"


async def test_output_and_phases_arrive_without_a_reload(site: Site) -> None:
    opened, phase = await verifying(site)
    page = await site.page()
    await page.goto(f"/ui/runs/{opened.id}")
    await expect(page.locator("#live-state")).to_have_text("Live", timeout=PATIENCE_MS)
    await phase.say("\x1b[32mtests/test_adder.py\x1b[0m <i>passed</i>\n")
    block = page.locator("#log section", has_text="Iteration 2 - verify")
    await expect(block.locator("pre")).to_have_text("tests/test_adder.py <i>passed</i>\n", timeout=PATIENCE_MS)
    await expect(block.locator("pre .a-fg-green")).to_have_text("tests/test_adder.py")
    await phase.end_step("python -m pytest -q", exit_code=0, tail="3 passed")
    await phase.passed(exit_code=0)
    await opened.end(OutcomeKind.VERIFIED)
    await expect(page.locator("#headline")).to_contain_text("Verified in 2 iterations", timeout=PATIENCE_MS)
    await expect(page.locator("#steps")).to_contain_text("3 passed", timeout=PATIENCE_MS)
    await expect(page.locator(RUNNING)).to_have_count(0)
    await expect(page.locator("#live-state")).to_have_text("Finished")


async def test_a_reload_goes_on_where_the_log_ended(site: Site) -> None:
    opened, phase = await verifying(site)
    await phase.say("one\n")
    page = await site.page()
    await page.goto(f"/ui/runs/{opened.id}")
    block = page.locator("#log section", has_text="Iteration 2 - verify").locator("pre")
    await expect(block).to_have_text("one\n")
    await phase.say("two\n")
    await expect(block).to_have_text("one\ntwo\n", timeout=PATIENCE_MS)
    await page.reload()
    await expect(page.locator("#live-state")).to_have_text("Live", timeout=PATIENCE_MS)
    await phase.say("three\n")
    await expect(block).to_have_text("one\ntwo\nthree\n", timeout=PATIENCE_MS)


async def test_the_headings_of_the_log_stay_in_sight(site: Site) -> None:
    opened, phase = await verifying(site)
    await phase.say("".join(f"line {number}\n" for number in range(400)))
    page = await site.page(viewport={"width": 1280, "height": 800})
    await page.goto(f"/ui/runs/{opened.id}")
    heading = page.locator("#log h3", has_text="Iteration 2 - verify")
    await page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight - 1200)")
    box = await heading.bounding_box()
    assert box is not None and 0 <= box["y"] < 40


async def test_cancel_asks_first_and_works_by_keyboard_alone(site: Site) -> None:
    opened, _ = await verifying(site)
    page = await site.page()
    await page.goto(f"/ui/runs/{opened.id}")
    summary = page.locator("summary", has_text="Cancel run")
    await summary.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("End this run now?")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_text("End this run now?")).to_be_hidden()
    await expect(summary).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.type("wrong branch")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("#headline")).to_contain_text("Cancelling", timeout=PATIENCE_MS)
    run = await site.served.deps.views.run(site.served.ours.id, opened.id)
    assert run.cancel_requested_at is not None


async def test_it_reads_without_javascript(site: Site) -> None:
    opened, phase = await verifying(site)
    await phase.say("collected 3 items\n")
    page = await site.page(java_script_enabled=False)
    await page.goto(f"/ui/runs/{opened.id}")
    await expect(page.locator("#headline")).to_contain_text("Running: Iteration 2 - verify")
    await expect(page.locator("#log")).to_contain_text("collected 3 items")
    await expect(page.locator("#live-state")).to_have_text("Not live: reload for newer lines")
    await expect(page.locator("#follow")).to_be_hidden()
