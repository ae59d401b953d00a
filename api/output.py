"""Output of a run as one row of pieces: live chunks, and in their place the artifact once they were compacted.

Pieces are ordered by execution and sequence. Those of an artifact are numbered from ARCHIVE_FROM, so that a viewer
who saw a part of the live chunks is told to begin that execution anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.ports import Views
from domain.artifacts.ports import ArtifactStore
from domain.errors import NotFound
from domain.runs.ports import ArtifactRef
from domain.runs.views import ChunkView, RunView

OUTPUT = "output"
"""Name of the artifact that holds an attempt's output once it has ended."""
CHUNKS_AT_ONCE = 8
"""At 32 KB each, 256 KB a viewer."""
PIECE_CHARACTERS = 32 * 1024
ARCHIVE_FROM = 1_000_000
"""More than the live chunks of any execution: their writer caps them at 512 KB."""
GONE = "[This output is no longer kept.]\n"


@dataclass(frozen=True)
class Archived:
    """An execution whose chunks were compacted."""

    ordinal: int
    body: ArtifactRef
    at: datetime


class Output:
    """Of one run, for one viewer. `prepare` first; `after` as often as the viewer has taken what it got."""

    def __init__(self, views: Views, artifacts: ArtifactStore, org_id: UUID, run: RunView) -> None:
        self._views = views
        self._artifacts = artifacts
        self._org_id = org_id
        self._run = run
        self._archived: list[Archived] = []

    async def prepare(self) -> None:
        """Finds out which executions have no chunks any more."""
        for attempt in (attempt for phase in self._run.phases for attempt in phase.attempts):
            body = next((each for each in attempt.artifacts if each.name == OUTPUT), None)
            if body is None or not attempt.executions:
                continue
            last = attempt.executions[-1]
            if not await self._has_chunks(last.ordinal):
                self._archived.append(Archived(last.ordinal, body, last.ended_at or last.started_at))
        self._archived.sort(key=lambda each: each.ordinal)

    async def _has_chunks(self, ordinal: int) -> bool:
        chunks = await self._views.chunks(self._org_id, self._run.id, after=(ordinal, -1), limit=1)
        return bool(chunks) and chunks[0].execution_ordinal == ordinal

    async def after(self, seen: tuple[int, int]) -> Sequence[ChunkView]:
        """The next pieces behind (execution ordinal, sequence); empty when there is none yet."""
        chunks = await self._views.chunks(self._org_id, self._run.id, after=seen, limit=CHUNKS_AT_ONCE)
        for archived in self._archived:
            if archived.ordinal < seen[0]:
                continue
            earlier = [chunk for chunk in chunks if chunk.execution_ordinal < archived.ordinal]
            if earlier:
                return earlier
            pieces = await self._pieces(archived)
            rest = [piece for piece in pieces if (piece.execution_ordinal, piece.seq) > seen]
            if rest:
                return rest
        return chunks

    async def _pieces(self, archived: Archived) -> list[ChunkView]:
        try:
            text = (await self._artifacts.get(self._org_id, archived.body.sha256)).decode("utf-8", errors="replace")
        except NotFound:
            text = GONE
        return [
            ChunkView(
                execution_ordinal=archived.ordinal,
                seq=ARCHIVE_FROM + number,
                text=text[start : start + PIECE_CHARACTERS],
                at=archived.at,
            )
            for number, start in enumerate(range(0, len(text), PIECE_CHARACTERS))
        ]
