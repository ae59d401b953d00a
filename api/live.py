"""One run's stream: events and live output behind a position, then whatever comes, until the run's end.

The id of each item is `<event>.<execution>.<chunk>`: the newest event's number, and the newest chunk's execution
(by the number of its `phase.started` event) and sequence. A viewer that comes back with it misses nothing and sees
nothing twice. Reads are bounded, and nothing is read before the viewer has taken what was read before: a viewer that
never reads holds one batch. Wake-ups come from PostgreSQL; Temporal is never asked.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import merge
from uuid import UUID

from api.output import ARCHIVE_FROM, Output
from api.ports import Views, Wakeup, Wakeups
from domain.artifacts.ports import ArtifactStore
from domain.errors import InvalidInput
from domain.runs.views import ChunkView, EventView, RunView
from domain.runs.words import EventType

EVENTS_AT_ONCE = 200
LOOK_AGAIN_SECONDS = 5.0
"""Without a wake-up: a lost note costs this much, never an event."""
_ID = re.compile(r"(\d{1,15})\.(\d{1,15})\.(\d{1,9})")


@dataclass(frozen=True)
class Position:
    """How far a viewer has seen."""

    event: int = 0
    execution: int = 0
    chunk: int = -1

    def __str__(self) -> str:
        return f"{self.event}.{self.execution}.{max(self.chunk, 0) if self.execution else 0}"

    @staticmethod
    def parse(text: str) -> "Position":
        """Raises InvalidInput."""
        match = _ID.fullmatch(text)
        if match is None:
            raise InvalidInput(
                f"`{text[:100]}` is no position in a run's stream.",
                hint="Send the last id that the stream gave: `<event>.<execution>.<chunk>`.",
                field="Last-Event-ID",
            )
        event, execution, chunk = (int(part) for part in match.groups())
        return Position(event, execution, chunk if execution else -1)


@dataclass(frozen=True)
class Seen:
    """One item of the stream, and where a viewer stands after it."""

    position: Position
    item: EventView | ChunkView
    anew: bool = False
    """The viewer saw the beginning of this execution's output; from here it comes again from its first character."""


@dataclass(frozen=True)
class Stream:
    """What a stream is made of; one per process."""

    views: Views
    artifacts: ArtifactStore
    wakeups: Wakeups
    stopping: asyncio.Event
    """Set at shutdown: streams end, and the browser comes back to the next process."""

    async def follow(self, org_id: UUID, run: RunView, start: Position) -> AsyncIterator[Seen]:
        """Ends at the run's end or at shutdown."""
        position, over = start, run.status.is_final
        output = Output(self.views, self.artifacts, org_id, run)
        await output.prepare()
        async with self.wakeups.of_run(run.id) as wakeup:
            while not self.stopping.is_set():
                events = await self.views.events(org_id, run.id, after=position.event, limit=EVENTS_AT_ONCE)
                pieces = await output.after((position.execution, position.chunk))
                together: Iterable[EventView | ChunkView] = merge(events, pieces, key=_moment)
                for item in together:
                    before, position = position, _after(position, item)
                    over = _is_over(item, before=over)
                    yield Seen(position, item, anew=_is_anew(before, position))
                if not events and not pieces:
                    if over:
                        return
                    await self._wait(wakeup)

    async def _wait(self, wakeup: Wakeup) -> None:
        """For the run or for shutdown, whichever comes first."""
        tasks = [asyncio.create_task(wakeup.wait(LOOK_AGAIN_SECONDS)), asyncio.create_task(self.stopping.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _moment(item: EventView | ChunkView) -> datetime:
    return item.at


def _after(position: Position, item: EventView | ChunkView) -> Position:
    if isinstance(item, EventView):
        return replace(position, event=item.seq)
    return replace(position, execution=item.execution_ordinal, chunk=item.seq)


def _is_over(item: EventView | ChunkView, *, before: bool) -> bool:
    """A reopened run goes on after its end."""
    if not isinstance(item, EventView):
        return before
    if item.type is EventType.RUN_FINISHED:
        return True
    return before and item.type is not EventType.RUN_STARTED


def _is_anew(before: Position, now: Position) -> bool:
    """From live chunks to the artifact within one execution."""
    return now.execution == before.execution and 0 < before.chunk < ARCHIVE_FROM <= now.chunk
