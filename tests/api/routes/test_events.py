"""The event stream: everything once, in order, and again from any id."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from adapters.store.wakeups import PostgresWakeups
from api.live import Position, Seen, Stream
from api.output import ARCHIVE_FROM
from domain.runs.ports import ArtifactRef
from domain.runs.views import ChunkView, EventView
from domain.runs.words import EventType, OutcomeKind
from tests.api.recorded import OpenedRun, Recorder
from tests.api.served import Served

PATIENCE_SECONDS = 20


async def whole(api: Served, run_id: UUID, **headers: str) -> list[dict[str, str]]:
    """The messages of a stream that ends."""
    headers = {**api.ours.header(), **headers}
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await api.client.get(f"/runs/{run_id}/events", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [block for block in answer.text.split("\n\n") if "data:" in block]
    return [dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")) for block in blocks]


async def finished_run(recorder: Recorder) -> OpenedRun:
    opened = await recorder.open_run()
    phase = await opened.begin("verify")
    await phase.say("collected 3 items\n")
    await phase.say("3 passed\n")
    await phase.passed(exit_code=0)
    await opened.end(OutcomeKind.VERIFIED)
    return opened


async def test_a_finished_run_is_told_from_its_beginning_and_ends(api: Served, recorder: Recorder) -> None:
    messages = await whole(api, (await finished_run(recorder)).id)
    assert [message["event"] for message in messages].count("event") >= 4
    output = [json.loads(message["data"])["text"] for message in messages if message["event"] == "output"]
    assert output == ["collected 3 items\n", "3 passed\n"]
    assert messages[-1]["event"] == "end"
    numbers = [json.loads(message["data"])["seq"] for message in messages if message["event"] == "event"]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_every_id_goes_on_without_gap_or_repeat(api: Served, recorder: Recorder) -> None:
    run_id = (await finished_run(recorder)).id
    messages = await whole(api, run_id)
    with_ids = [message for message in messages if "id" in message]
    for place, message in enumerate(with_ids):
        rest = [each for each in await whole(api, run_id, **{"Last-Event-ID": message["id"]}) if "id" in each]
        assert rest == with_ids[place + 1 :], message["id"]


@pytest.mark.parametrize("last", ["x", "1.2", "-1.0.0", "1.2.3.4", "9" * 40 + ".0.0"])
async def test_an_id_that_is_none_is_refused(api: Served, recorder: Recorder, last: str) -> None:
    run_id = await recorder.new_run()
    answer = await api.client.get(f"/runs/{run_id}/events", headers={**api.ours.header(), "Last-Event-ID": last})
    assert (answer.status_code, answer.json()["field"]) == (422, "Last-Event-ID")


@asynccontextmanager
async def live_stream(api: Served) -> AsyncIterator[Stream]:
    """The application's stream with its listener at work, as in a running process."""
    wakeups = api.deps.stream.wakeups
    assert isinstance(wakeups, PostgresWakeups)
    listening = asyncio.create_task(wakeups.run())
    try:
        yield api.deps.stream
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def take(stream: AsyncIterator[Seen], *, until: str) -> list[Seen]:
    """Items up to the one whose text contains `until`, or the event of that type."""
    taken: list[Seen] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for seen in stream:
            taken.append(seen)
            found = seen.item.text if isinstance(seen.item, ChunkView) else seen.item.type
            if until in found:
                return taken
    raise AssertionError(f"the stream ended before {until!r}")


async def test_what_is_written_now_arrives_now(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    phase = await opened.begin("verify")
    async with live_stream(api) as stream:
        run = await api.deps.views.run(api.ours.id, opened.id)
        items = stream.follow(api.ours.id, run, Position())
        await take(items, until=EventType.PHASE_STARTED)
        await phase.say("a line from the tests\n")
        await recorder.notifier.flush()
        await take(items, until="a line from the tests")
        await phase.passed(exit_code=0)
        await opened.end(OutcomeKind.VERIFIED)
        await recorder.notifier.flush()
        await take(items, until=EventType.RUN_FINISHED)
        with pytest.raises(StopAsyncIteration):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await anext(items)


async def test_shutdown_ends_a_waiting_stream(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    run = await api.deps.views.run(api.ours.id, opened.id)
    items = api.deps.stream.follow(api.ours.id, run, Position(event=run.newest_event))
    waiting = asyncio.create_task(anext(items, None))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    api.deps.stream.stopping.set()
    assert await asyncio.wait_for(waiting, PATIENCE_SECONDS) is None


async def test_compacted_output_comes_from_the_artifact(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    phase = await opened.begin("verify")
    await phase.say("first half\n")
    text = "first half\nsecond half\n"
    sha256 = await api.deps.artifacts.put(api.ours.id, text.encode())
    await phase.passed(exit_code=0, artifacts=(ArtifactRef(sha256=sha256, size_bytes=len(text), name="output"),))
    await opened.end(OutcomeKind.VERIFIED)
    messages = await whole(api, opened.id)
    [half] = [message for message in messages if message["event"] == "output"]
    async with api.database.organization(api.ours.id) as connection:
        await connection.execute("DELETE FROM output_chunk")
    again = [message for message in await whole(api, opened.id) if message["event"] == "output"]
    assert [json.loads(message["data"])["text"] for message in again] == [text]
    resumed = await whole(api, opened.id, **{"Last-Event-ID": half["id"]})
    kinds = [message["event"] for message in resumed]
    assert kinds.index("anew") == kinds.index("output") - 1, "a viewer of the first half is told to begin again"
    shown = [json.loads(message["data"]) for message in resumed if message["event"] == "output"]
    assert [(each["text"], each["seq"]) for each in shown] == [(text, ARCHIVE_FROM)]
    behind = await whole(api, opened.id, **{"Last-Event-ID": resumed[-2]["id"]})
    assert [message["event"] for message in behind if message["event"] == "output"] == []


async def test_a_viewer_that_never_reads_holds_one_batch(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    phase = await opened.begin("verify")
    for number in range(40):
        await phase.say(f"{number}\n")
    run = await api.deps.views.run(api.ours.id, opened.id)
    reads: list[int] = []
    views = api.deps.views
    original = views.chunks

    async def counted(*arguments: object, **named: object) -> object:
        reads.append(1)
        return await original(*arguments, **named)  # type: ignore[arg-type]

    object.__setattr__(views, "chunks", counted)
    items = api.deps.stream.follow(api.ours.id, run, Position())
    first = await anext(items)
    assert isinstance(first.item, EventView | ChunkView)
    assert len(reads) == 1, "nothing more is read before the viewer has taken what was read"
    await items.aclose()  # type: ignore[attr-defined]
