"""The log of a run's page: one block per execution that printed, headed iteration and phase, newest lines only.

The page shows the end of each block and links to the whole; the live stream goes on where the page ends.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from markupsafe import Markup

from api.live import Position
from api.output import CHUNKS_AT_ONCE, GONE, OUTPUT
from api.ports import Views
from api.web.ansi import ansi_html
from api.web.headline import place
from domain.artifacts.ports import ArtifactStore
from domain.errors import NotFound
from domain.runs.ports import ArtifactRef
from domain.runs.views import AttemptView, ExecutionView, RunView

BLOCK_BYTES = 12 * 1024
PAGE_BYTES = 48 * 1024
"""Of all blocks, so that the first page stays below 100 KB; the newest blocks come first to it."""


@dataclass(frozen=True)
class Block:
    """`ordinal` names it on the page and in the stream."""

    ordinal: int
    title: str
    phase: str
    html: Markup
    left_out: bool
    whole: ArtifactRef | None = None


def block_title(attempt: AttemptView, execution: ExecutionView | None) -> str:
    """`Iteration 2 - verify`, with the attempt and execution only where there is more than one."""
    parts = [place(attempt.iteration, attempt.phase)]
    if attempt.attempt > 1:
        parts.append(f"Attempt {attempt.attempt}")
    if execution is not None and execution.number > 1:
        parts.append(f"execution {execution.number}")
    return " · ".join(parts)


@dataclass(frozen=True)
class Log:
    blocks: tuple[Block, ...]
    position: Position
    """Where the live stream goes on."""


async def read_log(views: Views, artifacts: ArtifactStore, org_id: UUID, run: RunView, phase: str | None = None) -> Log:
    """Blocks in the order in which the executions began; of one phase when it is named."""
    tails, position = await _live_tails(views, org_id, run)
    blocks: list[Block] = []
    left = PAGE_BYTES
    for attempt, execution in sorted(_printing(run, phase), key=lambda pair: pair[1].ordinal, reverse=True):
        room = min(left, BLOCK_BYTES)
        newest = execution.id == attempt.executions[-1].id
        block = await _block(artifacts, org_id, attempt, execution, tails.get(execution.ordinal), room, newest=newest)
        if block is not None:
            left = max(left - len(block.html), 512)
            blocks.append(block)
    return Log(tuple(reversed(blocks)), replace(position, event=run.newest_event))


def _printing(run: RunView, phase: str | None) -> Iterable[tuple[AttemptView, ExecutionView]]:
    for group in run.phases:
        for attempt in group.attempts:
            if phase is None or attempt.phase == phase:
                yield from ((attempt, execution) for execution in attempt.executions)


async def _block(
    artifacts: ArtifactStore,
    org_id: UUID,
    attempt: AttemptView,
    execution: ExecutionView,
    live: str | None,
    room: int,
    *,
    newest: bool,
) -> Block | None:
    whole = next((each for each in attempt.artifacts if each.name == OUTPUT), None) if newest else None
    text, left_out = live or "", False
    if whole is not None and not live:
        text = await _artifact_tail(artifacts, org_id, whole, room)
        left_out = whole.size_bytes > room
    elif not text and newest:
        text = attempt.summary
    if not text:
        return None
    if len(text) > room:
        text, left_out = text[-room:], True
    if left_out:
        text = text.partition("\n")[2] or text
    return Block(execution.ordinal, block_title(attempt, execution), attempt.phase, ansi_html(text), left_out, whole)


async def _artifact_tail(artifacts: ArtifactStore, org_id: UUID, whole: ArtifactRef, room: int) -> str:
    start = max(whole.size_bytes - room, 0)
    try:
        body = await artifacts.get(org_id, whole.sha256, start=start)
    except NotFound:
        return GONE
    return body.decode("utf-8", errors="replace")


async def _live_tails(views: Views, org_id: UUID, run: RunView) -> tuple[dict[int, str], Position]:
    """The end of what is still kept as chunks, by execution ordinal. Chunks are capped by their writer."""
    position = Position()
    tails: dict[int, deque[str]] = {}
    while True:
        chunks = await views.chunks(
            org_id, run.id, after=(position.execution, position.chunk), limit=8 * CHUNKS_AT_ONCE
        )
        for chunk in chunks:
            tail = tails.setdefault(chunk.execution_ordinal, deque())
            tail.append(chunk.text)
            while sum(map(len, tail)) - len(tail[0]) > BLOCK_BYTES:
                tail.popleft()
            position = Position(0, chunk.execution_ordinal, chunk.seq)
        if not chunks:
            return {ordinal: "".join(parts) for ordinal, parts in tails.items()}, position
