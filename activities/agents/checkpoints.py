"""Checkpoints of an agent phase: the new segment of its conversation and the tree that it left, in one transaction.

What the tree has that no worker knows goes to the artifact store first, so that the pair can be gone on from anywhere.
"""

from hashlib import sha256

from activities.agents.working import Working
from domain.agents.conversation import Segment
from domain.agents.ports import INLINE_SEGMENT_BYTES, AgentCheckpoint, AgentRecord, EndedStep, StoredSegment
from domain.artifacts.ports import ArtifactStore
from domain.errors import PhaseFailure
from domain.failpoints import AgentPoint, Failpoints
from domain.redaction import Redactor
from domain.runs.failure import ErrorKind, PhaseError
from domain.workspaces.packs import KeptTree, TreeKeeping


class Checkpoints:
    def __init__(
        self,
        *,
        record: AgentRecord,
        artifacts: ArtifactStore,
        trees: TreeKeeping,
        redactor: Redactor,
        failpoints: Failpoints,
    ) -> None:
        self._record = record
        self._artifacts = artifacts
        self._trees = trees
        self._redactor = redactor
        self._failpoints = failpoints

    async def write(self, work: Working, draft: Segment, *, ended: EndedStep | None = None) -> None:
        """Records the segment with number, tree and time put in, and the step that ends with it. Raises
        PhaseFailure(worker_lost) when a newer execution took over, Unavailable."""
        context, conversation = work.context, work.conversation
        kept = await self._tree(work)
        segment = draft.model_copy(
            update={"number": conversation.segments, "tree": kept.tree, "seconds": round(work.seconds, 3)}
        )
        sequence, text = context.output.unsent
        checkpoint = AgentCheckpoint(
            segment=await self._stored(work, segment),
            artifacts=kept.artifacts,
            ended=ended,
            output=self._redactor.redact(text),
            output_sequence=sequence,
        )
        if not await self._record.checkpoint(context.key, context.lease, checkpoint):
            raise PhaseFailure(_taken_over())
        context.output.sent(sequence, text)
        work.conversation = conversation.with_segment(segment)
        work.dirty = False
        self._failpoints.hit(AgentPoint.AFTER_CHECKPOINT)

    async def _tree(self, work: Working) -> KeptTree:
        if not work.dirty:
            return KeptTree(tree=work.conversation.tree)
        key = work.context.key
        kept = await self._trees.checkpoint(
            work.context.run,
            label=f"{key.iteration}-{key.phase}-{key.attempt}-turns",
            known_tree=work.conversation.tree,
        )
        self._failpoints.hit(AgentPoint.AFTER_PACK)
        return kept

    async def _stored(self, work: Working, segment: Segment) -> StoredSegment:
        body = segment.model_dump_json(exclude_defaults=True)
        raw = body.encode()
        inline = len(raw) <= INLINE_SEGMENT_BYTES
        digest = sha256(raw).hexdigest() if inline else await self._artifacts.put(work.context.key.org_id, raw)
        return StoredSegment(
            number=segment.number,
            turn=segment.turn,
            tree=segment.tree,
            sha256=digest,
            size_bytes=len(raw),
            body=body if inline else None,
        )


def _taken_over() -> PhaseError:
    return PhaseError(
        kind=ErrorKind.WORKER_LOST,
        message="A newer execution of this phase took over; this one writes nothing more.",
        hint="Nothing to do.",
    )
