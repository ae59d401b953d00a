"""Whether this process can do its work: what it needs is asked in turn, each with a short patience."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from pydantic import BaseModel

from domain.errors import MillwrightError

PATIENCE_SECONDS = 3.0

Check = Callable[[], Awaitable[None]]
"""Returns when the thing answers; raises Unavailable (or another of our errors) that says what to do."""


class Need(BaseModel):
    name: str
    ready: bool
    problem: str = ""
    hint: str = ""


class ReadinessReport(BaseModel):
    ready: bool
    needs: tuple[Need, ...]


class Readiness:
    """`checks`: name of the thing -> how to ask it."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = dict(checks)

    async def report(self) -> ReadinessReport:
        needs = await asyncio.gather(*(self._ask(name, check) for name, check in self._checks.items()))
        return ReadinessReport(ready=all(need.ready for need in needs), needs=tuple(needs))

    async def _ask(self, name: str, check: Check) -> Need:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await check()
        except TimeoutError:
            problem = f"{name} did not answer within {PATIENCE_SECONDS:.0f} s."
            return Need(name=name, ready=False, problem=problem, hint="Is it running? `millwright doctor` looks.")
        except MillwrightError as error:
            return Need(name=name, ready=False, problem=error.message, hint=error.hint)
        return Need(name=name, ready=True)
