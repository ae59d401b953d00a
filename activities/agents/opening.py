"""How an execution takes an agent's work up: from the start, or from what earlier executions recorded.

Replies come from the record by their step keys (an answered call is never asked again), results and trees from the
segments. Nothing is taken from this machine: another worker goes on as well.
"""

from activities.agents.checkpoints import Checkpoints
from activities.agents.working import Working
from activities.models.calls import ModelCalls
from activities.runs.asking import call_scope
from activities.runs.context import PhaseContext
from activities.runs.prompting import Prompting, model_for
from domain.agents.conversation import Conversation, Segment, SegmentKind, recorded
from domain.agents.ports import AgentRecord, ContextWindows, StoredSegment
from domain.artifacts.ports import ArtifactStore
from domain.failpoints import AgentPoint, Failpoints
from domain.models.messages import AnsweredCall
from domain.pipelines.spec import AgentPhase
from domain.workspaces.packs import TreeKeeping

DEFAULT_WINDOW = 128_000
"""Tokens, of a model that nobody knows."""


class Opening:
    def __init__(
        self,
        *,
        calls: ModelCalls,
        prompting: Prompting,
        record: AgentRecord,
        artifacts: ArtifactStore,
        trees: TreeKeeping,
        windows: ContextWindows,
        checkpoints: Checkpoints,
        failpoints: Failpoints,
    ) -> None:
        self._calls = calls
        self._prompting = prompting
        self._record = record
        self._artifacts = artifacts
        self._trees = trees
        self._windows = windows
        self._checkpoints = checkpoints
        self._failpoints = failpoints

    async def open(self, context: PhaseContext, spec: AgentPhase) -> Working:
        """The worktree is as the conversation's last checkpoint has it."""
        model = model_for(context, spec, await self._calls.defaults(context.key.org_id))
        found = await self._record.open(context.key, context.lease)
        work = Working(
            context=context,
            spec=spec,
            model=model,
            window=spec.context_tokens or self._windows.tokens(model) or DEFAULT_WINDOW,
            conversation=Conversation(opening=(), tree=context.tree.tree),
            paid=[row.cost for row in found.calls],
            unknown_calls=found.unknown_calls,
        )
        if found.segments:
            segments = [await self._segment(context, stored) for stored in found.segments]
            work.conversation = recorded(segments, await self._replies(work, segments))
            work.seconds_before = work.conversation.seconds
            await self._go_on(work)
        else:
            await self._begin(work)
        return work

    async def _begin(self, work: Working) -> None:
        messages = await self._prompting.messages(work.context, work.spec)
        opening = Segment(number=0, kind=SegmentKind.OPENING, turn=0, tree="", seconds=0.0, messages=messages)
        await self._checkpoints.write(work, opening)
        self._failpoints.hit(AgentPoint.AFTER_OPENING)

    async def _go_on(self, work: Working) -> None:
        conversation = work.conversation
        work.first_turn = conversation.open_turn.number if conversation.open_turn else conversation.next_turn
        work.context.output.keep(f"[taken up again at turn {work.first_turn}]\n")
        if conversation.tree != work.context.tree.tree:
            await self._trees.restore(work.context.run, conversation.tree)

    async def _segment(self, context: PhaseContext, stored: StoredSegment) -> Segment:
        body = stored.body
        if body is None:
            body = (await self._artifacts.get(context.key.org_id, stored.sha256)).decode()
        return Segment.model_validate_json(body)

    async def _replies(self, work: Working, segments: list[Segment]) -> dict[int, AnsweredCall]:
        turns = sorted({segment.turn for segment in segments if segment.kind is SegmentKind.RESULTS})
        opening = segments[0].messages
        replies: dict[int, AnsweredCall] = {}
        for turn in turns:
            replies[turn] = await self._calls.call(
                call_scope(work.context, f"turn#{turn}", f"turn {turn}: {work.model}"),
                work.model,
                messages=opening,
                role=work.spec.role,
            )
            work.answered(replies[turn])
        return replies
