"""What an external agent tells, put into the record while it works: steps, live output, its session, checkpoints."""

import asyncio
import codecs
import contextlib
from collections import deque
from time import monotonic

import structlog

from activities.agents.external.shown import Shown
from activities.runs.context import PhaseContext
from domain.agents.external import (
    AgentEvent,
    ErrorTold,
    EventStream,
    ResultGiven,
    Said,
    SessionStarted,
    ToolBegun,
    ToolEnded,
    Unknown,
    UsageClaimed,
)
from domain.agents.ports import AgentSession, AgentSessions
from domain.errors import PhaseFailure
from domain.pipelines.spec import AgentPhase
from domain.redaction import Redactor
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.ports import PhaseLedger, StepEnd, StepStart
from domain.runs.words import Effect, StepKind, StepStatus
from domain.sandbox.ports import CommandEnd, CommandResult
from domain.workspaces.ports import Workspaces

STEPS_LIMIT = 2_000
"""Tool calls of one execution that get a step of their own; more are only counted."""
WAITING_LIMIT = 20_000
"""Events that wait to be recorded; a flood above it is counted, not kept."""
CHECKPOINT_SECONDS = 1.0
"""Between two checkpoints, at least."""
CHECKPOINT_SHARE = 20
"""At most one twentieth of the time goes into checkpoints, however large the repository."""
OPEN_LIMIT = 1_000
"""Tool calls without an end so far; a stream that only begins them forgets the oldest."""
PROBLEMS_KEPT = 20

log = structlog.get_logger(__name__)


class Telling:
    """One start of an agent. `hear` is called with its bytes; `run` is a task beside it."""

    def __init__(
        self,
        *,
        context: PhaseContext,
        stream: EventStream,
        ledger: PhaseLedger,
        sessions: AgentSessions,
        workspaces: Workspaces,
        redactor: Redactor,
        tree: str,
        start: int,
    ) -> None:
        assert isinstance(context.spec, AgentPhase)
        self._context = context
        self._executor = context.spec.executor
        self._stream = stream
        self._ledger = ledger
        self._sessions = sessions
        self._workspaces = workspaces
        self._redactor = redactor
        self._tree = tree
        self._key = f"tool#{context.lease.execution_id.hex[:12]}.{start}."
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._hidden = redactor.stream()
        self._waiting: deque[AgentEvent] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._open: dict[str, tuple[str, str, float]] = {}
        self._steps = 0
        self._checkpoint_at = monotonic()
        self._checkpoint_every = CHECKPOINT_SECONDS
        self._last_tool = ""
        self._changed = False
        self.shown = Shown()
        self.session_id: str | None = None
        self.result: ResultGiven | None = None
        self.claimed: UsageClaimed | None = None
        self.problems: deque[str] = deque(maxlen=PROBLEMS_KEPT)
        self.tools = 0
        self.left_out = 0
        self.said_anything = False

    @property
    def unknown_events(self) -> str:
        """Types and how often each came, for people; empty when all were known."""
        return self._clean(", ".join(f"{name} x{count}" for name, count in self._stream.unknown.most_common(10)))

    def ended_well(self, result: CommandResult) -> bool:
        """It says that its turn is over, and nothing that we saw speaks against it."""
        ok = self.result is not None and self.result.ok
        return ok and result.end is CommandEnd.EXITED and result.exit_code == 0

    def hear(self, data: bytes) -> None:
        """Never waits. Nothing secret gets past this place, wherever a text is cut later."""
        self._take(self._hidden.feed(self._decoder.decode(data)))

    def end(self) -> None:
        """No byte comes any more; `run` returns when all is recorded."""
        self._take(self._hidden.feed(self._decoder.decode(b"", True)) + self._hidden.flush())
        self._add(self._stream.finish())
        self._ended = True
        self._news.set()

    async def run(self) -> None:
        while True:
            await self._wait_for_news()
            ended = self._ended
            while self._waiting:
                await self._record(self._waiting.popleft())
                if self.shown.is_due:
                    await self._context.output.say(self.shown.take())
            await self._context.output.say(self.shown.take())
            if ended:
                return

    async def _wait_for_news(self) -> None:
        """Meanwhile, while the agent waits for its model, is the time for a checkpoint of what its tools did."""
        due_in = max(0.0, self._checkpoint_at + self._checkpoint_every - monotonic()) if self._changed else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), due_in)
        self._news.clear()
        if self._changed and monotonic() - self._checkpoint_at >= self._checkpoint_every:
            await self.checkpoint()

    def _take(self, text: str) -> None:
        if text:
            self._add(self._stream.feed(text.encode()))

    def _add(self, events: list[AgentEvent]) -> None:
        room = max(0, WAITING_LIMIT - len(self._waiting))
        for event in events:
            # a flood must not drown what decides how the phase ends
            if room > 0 or isinstance(event, SessionStarted | ResultGiven):
                self._waiting.append(event)
                room -= 1
            else:
                self.left_out += 1
        if events:
            self._news.set()

    async def _record(self, event: AgentEvent) -> None:
        match event:
            case SessionStarted():
                self.session_id = event.session_id
                await self._keep({"tree": self._tree})
            case Said():
                self.said_anything = True
                self.shown.add(self._clean(event.text) + "\n")
            case ToolBegun():
                await self._began(event.call_id, event.title)
            case ToolEnded():
                await self._finished(event)
            case UsageClaimed():
                self.claimed = event
            case ResultGiven():
                self.result = event.model_copy(update={"text": self._clean(event.text)})
            case ErrorTold():
                self.problems.append(self._clean(event.message))
                self.shown.add(f"! {self.problems[-1]}\n")
            case Unknown():
                log.debug("agent.unknown_event", executor=self._executor, type=event.type)

    async def _began(self, call_id: str, title: str) -> None:
        if call_id in self._open:
            return
        self.tools += 1
        shown = self._clean(title) or "(a tool without a name)"
        self.shown.add(f"> {shown}\n")
        key = f"{self._key}{self.tools}"
        self._open[call_id] = (key, shown, monotonic())
        if len(self._open) > OPEN_LIMIT:
            del self._open[next(iter(self._open))]
        if self.tools > STEPS_LIMIT:
            self.left_out += 1
            return
        step = StepStart(key=key, kind=StepKind.TOOL_CALL, title=shown, effect=Effect.IDEMPOTENT)
        await self._ledger.start_step(self._context.key, self._context.lease, step)

    async def _finished(self, event: ToolEnded) -> None:
        if event.call_id not in self._open:
            await self._began(event.call_id, event.title)
        key, title, began_at = self._open.pop(event.call_id)
        excerpt = self._clean(event.excerpt)
        tail = "\n".join(line[:400] for line in excerpt.strip().splitlines()[-5:])
        if not event.ok:
            self.shown.add(f"  failed: {tail or '(it said nothing)'}\n")
        if int(key.rpartition(".")[2]) <= STEPS_LIMIT:
            end = StepEnd(
                status=StepStatus.DONE if event.ok else StepStatus.FAILED,
                run_seconds=monotonic() - began_at,
                exit_code=event.exit_code,
                error=None if event.ok else _failed(title, excerpt),
                tail=tail,
            )
            await self._ledger.end_step(self._context.key, self._context.lease, key, end)
        self._last_tool, self._changed = title, True

    async def checkpoint(self) -> None:
        """The tree as it is, for an execution that goes on after this one."""
        self._changed = False
        if self.session_id is None:
            return
        began = monotonic()
        key = self._context.key
        label = f"{key.iteration}-{key.phase}-{key.attempt}-working"
        try:
            where = (self._context.tree.facts.workspace_id, key.run_id)
            tree = await self._workspaces.snapshot(*where, label=label)
        except PhaseFailure as failure:  # the agent changes files meanwhile: the next tool call tries again
            log.info("agent.no_checkpoint", problem=failure.message)
            tree = self._tree
        self._checkpoint_at = monotonic()
        self._checkpoint_every = max(CHECKPOINT_SECONDS, CHECKPOINT_SHARE * (self._checkpoint_at - began))
        if tree != self._tree:
            self._tree = tree
            await self._keep({"tree": tree, "tool": self._last_tool})

    async def _keep(self, data: dict[str, object]) -> None:
        assert self.session_id is not None
        session = AgentSession(executor=self._executor, session_id=self.session_id, data=data)
        held = await self._sessions.keep_session(self._context.key, self._context.lease, session)
        if not held:
            raise PhaseFailure(PhaseError(kind=ErrorKind.WORKER_LOST, message="A newer execution took over."))

    def _clean(self, text: str) -> str:
        return self._redactor.redact(text)


def _failed(title: str, excerpt: str) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.COMMAND_FAILED,
        message=f"The agent's tool call failed: {title}",
        excerpt=excerpt or "(it said nothing)",
        hint="The agent was told; it may have mended it by another call.",
    )
