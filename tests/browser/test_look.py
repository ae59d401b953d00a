"""Every page in light and dark, wide and narrow: nothing cut off, nothing unreadable, nothing said on the console.

The pictures stay in the folder that SCREENSHOTS names, if it is set.
"""

import os
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.words import OutcomeKind
from tests.browser.conftest import Site
from tests.browser.test_run_page import verifying

pytestmark = pytest.mark.browser

SIZES = {1280: 800, 390: 844}
SCHEMES = ("light", "dark")

CONTRAST = """() => {
  const channel = (v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (each) => {
    for (let at = each; at; at = at.parentElement) {
      const found = parse(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] > 0.99) return found;
    }
    return [255, 255, 255];
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !parent.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(parent).color)), light(ground(parent))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push(`${walker.currentNode.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return low;
}"""
"""Text whose contrast with the ground behind it is below 4.5:1."""


async def picture(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


async def addresses(site: Site) -> dict[str, str]:
    """Runs in every state, with names that try the layout."""
    found = {"now": "/ui", "runs": "/ui/runs", "operations": "/ui/operations", "new": "/ui/runs/new"}
    live, phase = await verifying(site)
    await phase.say("\x1b[31mFAILED\x1b[0m tests/test_adder.py::test_add\n\x1b[1m1 failed\x1b[0m, 41 passed\n")
    found["running"] = f"/ui/runs/{live.id}"
    failed = await site.recorder.open_run("اختبارات " + "a-very-long-name-without-a-break-" * 8)
    await (await failed.begin("verify")).failed("E   assert 1 == 2\n" + "x" * 300)
    error = PhaseError(
        kind=ErrorKind.COMMAND_FAILED,
        message="verify failed 3 times with the same error (test_add)",
        excerpt="E   assert 1 == 2\n" + "long" * 100,
        hint="Read the failing test.",
    )
    await failed.end(OutcomeKind.MAX_CONSECUTIVE_FAILURES, detail="verify", error=error)
    found["failed"] = f"/ui/runs/{failed.id}"
    done = await site.recorder.open_run("Add a flag")
    await (await done.begin("verify")).passed(exit_code=0)
    await done.end(OutcomeKind.VERIFIED)
    found["verified"] = f"/ui/runs/{done.id}"
    found["queued"] = f"/ui/runs/{await site.recorder.new_run('Wait for a worker')}"
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", SIZES)
async def test_every_page_holds(site: Site, width: int, scheme: str) -> None:
    found = await addresses(site)
    page = await site.page(viewport={"width": width, "height": SIZES[width]}, color_scheme=scheme)
    for name, address in found.items():
        await page.goto(address)
        await expect(page.locator("h1")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width} px"
        assert await page.evaluate(CONTRAST) == [], name
        await picture(page, f"{name}-{width}-{scheme}")


@pytest.mark.parametrize("width", SIZES)
async def test_the_empty_list_and_the_sign_in_page_hold(site: Site, width: int) -> None:
    page = await site.page(viewport={"width": width, "height": SIZES[width]})
    await page.goto("/ui/runs")
    await expect(page.get_by_text("No run yet")).to_be_visible()
    await picture(page, f"empty-{width}")
    stranger = await site.page(user=None, viewport={"width": width, "height": SIZES[width]})
    await stranger.goto("/ui/runs")
    await expect(stranger.get_by_role("heading", name="Sign in")).to_be_visible()
    assert await stranger.evaluate("document.documentElement.scrollWidth") <= width
    await picture(stranger, f"login-{width}")


async def test_the_first_tab_is_the_skip_link(site: Site) -> None:
    page = await site.page()
    await page.goto("/ui/runs")
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()


async def test_the_list_says_that_it_has_newer_runs_and_waits(site: Site) -> None:
    await site.recorder.new_run("First")
    page = await site.page()
    await page.goto("/ui/runs")
    await site.recorder.new_run("Second")
    link = page.get_by_role("link", name="1 newer run: show")
    await expect(link).to_be_visible(timeout=20_000)
    await expect(page.locator("tbody tr")).to_have_count(1)
    await link.click()
    await expect(page.locator("tbody tr")).to_have_count(2)
