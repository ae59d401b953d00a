"""Waits for a condition, generously, instead of asserting times."""

import asyncio
import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float = 30, *, what: str = "") -> None:
    """Raises AssertionError naming `what` when the condition is still false after that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s: {what or condition}"
        time.sleep(0.02)


async def until(condition: Callable[[], object], seconds: float = 30, *, what: str = "") -> None:
    """As `wait_until`, while the event loop goes on."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s: {what or condition}"
        await asyncio.sleep(0.02)
