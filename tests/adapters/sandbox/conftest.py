"""One way to run a real command under the real guard, and to look for what is left of it."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.sandbox import means, proctree
from adapters.sandbox.guarded import GuardedSandbox
from domain.redaction import StreamRedactor
from domain.sandbox.ports import Command, CommandResult, shell

SEARCH_PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
PATIENCE = 30.0
"""Seconds after which a condition that must come true is taken as never coming."""


class PlainStream:
    def feed(self, text: str) -> str:
        return text

    def flush(self) -> str:
        return ""


class PlainRedactor:
    """Knows no secret."""

    def redact(self, text: str) -> str:
        return text

    def redact_known(self, text: str) -> str:
        return text

    def stream(self) -> StreamRedactor:
        return PlainStream()


class Bench:
    """Runs commands in a folder of their own and remembers what they said."""

    def __init__(self, sandbox: GuardedSandbox, cwd: Path) -> None:
        self.sandbox = sandbox
        self.cwd = cwd
        self.live: list[str] = []
        self.stop_reason: str | None = None
        self.token = f"BENCH={uuid4()}"

    @property
    def own_user(self) -> bool:
        command = Command(argv=("true",), cwd=self.cwd, time_limit_seconds=1, stall_seconds=1)
        return self.sandbox.protection(command).own_user

    async def note(self, text: str) -> None:
        self.live.append(text)

    async def run(
        self, what: str | tuple[str, ...], *, on_output: Callable[[str], Awaitable[None]] | None = None, **given: Any
    ) -> CommandResult:
        name, _, value = self.token.partition("=")
        fields: dict[str, Any] = {"time_limit_seconds": 120.0, "stall_seconds": 60.0, "cwd": self.cwd} | given
        fields["env"] = {name: value} | fields.get("env", {})
        command = Command(argv=shell(what) if isinstance(what, str) else what, **fields)
        return await self.sandbox.run(command, on_output=on_output or self.note, should_stop=lambda: self.stop_reason)

    def python(self, code: str) -> tuple[str, ...]:
        return (sys.executable, "-c", code)

    @property
    def heard(self) -> str:
        return "".join(self.live)

    def living(self) -> list[int]:
        """Processes that any command of this bench started, by the environment that they inherited."""
        return [process.pid for process in proctree.marked(self.token)]

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"never came true; heard {self.heard[-500:]!r}"
            await asyncio.sleep(0.02)


@pytest.fixture(params=["guard", "bubblewrap"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """Every test runs under the plain guard, and under bubblewrap where that works."""
    wrapped = request.param == "bubblewrap"
    if wrapped and means.find("auto", SEARCH_PATH).bubblewrap is None:
        pytest.skip("bubblewrap is not on PATH, or may not make namespaces here")
    sandbox = GuardedSandbox(PlainRedactor(), search_path=SEARCH_PATH, bubblewrap_mode="auto" if wrapped else "off")
    return Bench(sandbox, tmp_path)


@pytest.fixture
def plain(tmp_path: Path) -> Bench:
    """Only under the plain guard: what is looked at is the guard itself."""
    return Bench(GuardedSandbox(PlainRedactor(), search_path=SEARCH_PATH, bubblewrap_mode="off"), tmp_path)
