"""Tasks that live as long as the process: when one fails by a defect, it is told and started again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import structlog

RESTART_SECONDS = 2.0

log = structlog.get_logger(__name__)


async def _forever(name: str, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:  # the boundary of a background task: told with its trace, then run again
            log.exception("background.failed", task=name)
        await asyncio.sleep(RESTART_SECONDS)


@asynccontextmanager
async def background(tasks: Mapping[str, Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    running = [asyncio.create_task(_forever(name, work), name=name) for name, work in tasks.items()]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
