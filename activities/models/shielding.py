"""Work that must reach its end although its caller is cancelled meanwhile: what is paid is recorded."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_its_end(work: "Coroutine[Any, Any, T] | asyncio.Future[T]") -> T:
    """Result of `work`; a cancellation that comes meanwhile is raised after it, not instead of it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # seen: the cancellation is what the caller gets
        raise cancelled
    return task.result()
