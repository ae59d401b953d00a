"""GET /runs/{id}/events: what happened and what is printed, live (Server-Sent Events)."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.deps import TheDeps, Viewer
from api.live import Position, Seen
from api.problems import documented
from domain.runs.views import ChunkView, EventView, RunView

router = APIRouter(prefix="/runs", tags=["runs"])


async def start_position(
    last_event_id: Annotated[str | None, Header(description="Goes on behind this id (browsers send it)")] = None,
    after: Annotated[str | None, Query(description="The same, for a first request.")] = None,
) -> Position:
    given = last_event_id or after
    return Position.parse(given) if given else Position()


async def the_run(run_id: UUID, deps: TheDeps, caller: Viewer) -> RunView:
    """Before the stream begins, so that an unknown run is a 404 and no stream."""
    return await deps.views.run(caller.principal.org_id, run_id)


TheRun = Annotated[RunView, Depends(the_run)]
From = Annotated[Position, Depends(start_position)]


@router.get("/{run_id}/events", response_class=EventSourceResponse, responses=documented(404, 422))
async def events(run: TheRun, deps: TheDeps, caller: Viewer, start: From) -> AsyncIterator[ServerSentEvent]:
    """`event: event` carries an EventView, `event: output` a ChunkView, `event: end` says that the run is over,
    `event: anew` that the output of one execution begins again (it was compacted while the viewer was away).

    Ids are `<event>.<execution>.<chunk>`; send the last one to go on without a gap. A comment comes every 15 s.
    """
    yield ServerSentEvent(comment="open", retry=1000)
    async for seen in deps.stream.follow(caller.principal.org_id, run, start):
        if isinstance(seen.item, ChunkView) and seen.anew:
            yield ServerSentEvent(event="anew", data={"execution_ordinal": seen.item.execution_ordinal})
        yield _encoded(seen)
    if not deps.stream.stopping.is_set():
        yield ServerSentEvent(event="end", data={})


def _encoded(seen: Seen) -> ServerSentEvent:
    name = "event" if isinstance(seen.item, EventView) else "output"
    return ServerSentEvent(event=name, data=seen.item, id=str(seen.position))
