"""A real Chromium on the real application behind a real socket, with the record's listener at work."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from adapters.store.wakeups import Notifier
from api.__main__ import Server, listen
from tests.api.people import PASSWORD
from tests.api.recorded import Recorder
from tests.api.served import Served, served
from tests.support.databases import Database

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Site:
    """The served application with its address, and a Chromium to look at it."""

    served: Served
    address: str
    browser: Browser
    recorder: Recorder
    problems: list[str]
    """What any page said on its console, or failed to load; a test ends with none."""

    async def context(self, *, user: str | None = "operator@default", **more: Any) -> BrowserContext:
        """A person of their own, signed in through the form (`None`: not signed in)."""
        script = more.pop("java_script_enabled", True)
        context = await self.browser.new_context(base_url=self.address, java_script_enabled=script, **more)
        context.on("page", self._watch)
        if user is not None:
            page = await context.new_page()
            await page.goto("/ui/login")
            await page.fill("#user", user)
            await page.fill("#password", PASSWORD)
            await page.click("button.primary")
            await page.wait_for_url("**/ui")
            await page.close()
        return context

    async def page(self, **more: Any) -> Page:
        return await (await self.context(**more)).new_page()

    def _watch(self, page: Page) -> None:
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.problems.append(text)


def _program() -> str:
    for name in NAMES:
        if found := shutil.which(name):
            return found
    if os.environ.get("CI") == "true":
        pytest.fail("no Chromium on this machine: install it (Debian: apt-get install chromium)")
    pytest.skip("no Chromium on this machine: install it (Debian: apt-get install chromium) to run the browser tests")


@pytest_asyncio.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    program = _program()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture
async def site(database: Database, tmp_path: Path, chromium: Browser) -> AsyncIterator[Site]:
    async with served(database, tmp_path / "state") as running:
        listening = listen("127.0.0.1", 0)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = Server(uvicorn.Config(running.app, log_config=None, access_log=False), running.deps.stream.stopping)
        serving = asyncio.create_task(server.serve([listening]))
        notifier = Notifier(running.database)
        telling = asyncio.create_task(notifier.run())
        problems: list[str] = []
        try:
            yield Site(running, address, chromium, Recorder(running.database, running.ours, notifier), problems)
            assert problems == [], "the pages complained"
        finally:
            for context in chromium.contexts:
                await context.close()
            telling.cancel()
            server.should_exit = True
            await serving
