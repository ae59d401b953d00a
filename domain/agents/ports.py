"""What an agent phase needs of the record, of the worktree and of the knowledge on models."""

from typing import Protocol
from uuid import UUID

from domain.agents.caps import CallCost
from domain.base import Frozen
from domain.runs.messages import AttemptKey
from domain.runs.ports import ArtifactRef, Lease, StepEnd

INLINE_SEGMENT_BYTES = 32_768
"""A segment up to this size is committed with its row; a bigger one goes to the artifact store before."""


class StoredSegment(Frozen):
    """A segment as its row has it."""

    number: int
    turn: int
    tree: str
    sha256: str
    """Of the body."""
    size_bytes: int
    body: str | None = None
    """JSON of the segment; None: it lies in the artifact store."""


class EndedStep(Frozen):
    """A step that ends in the same transaction as a checkpoint."""

    key: str
    end: StepEnd


class AgentCheckpoint(Frozen):
    """What one checkpoint writes, all of it or nothing."""

    segment: StoredSegment
    artifacts: tuple[ArtifactRef, ...] = ()
    """Packs of the tree, and the segment's body when it is big."""
    ended: EndedStep | None = None
    output: str = ""
    output_sequence: int = 0
    """Number of the chunk of live output that comes along; 0: none does."""


class CallRow(Frozen):
    """An answered call of the attempt."""

    step_key: str
    cost: CallCost
    model_answered: str | None = None


class OpenedAgent(Frozen):
    """All that the attempt's earlier executions have left, oldest first."""

    segments: tuple[StoredSegment, ...] = ()
    calls: tuple[CallRow, ...] = ()
    unknown_calls: int = 0
    """Calls that were lost, or cut off: they may have been paid, and nobody knows what they used."""


class AgentRecord(Protocol):
    """The store satisfies it: one database round trip per method. Raises Unavailable."""

    async def open(self, key: AttemptKey, lease: Lease) -> OpenedAgent: ...

    async def checkpoint(self, key: AttemptKey, lease: Lease, checkpoint: AgentCheckpoint) -> bool:
        """May be repeated. False: a newer execution took over, nothing was written."""
        ...


class AgentSession(Frozen):
    """The session of an external agent, by which it goes on where it was."""

    executor: str
    session_id: str
    data: dict[str, object] = {}


class AgentSessions(Protocol):
    async def session(self, key: AttemptKey, lease: Lease) -> AgentSession | None: ...

    async def keep_session(self, key: AttemptKey, lease: Lease, session: AgentSession) -> bool:
        """Newest wins. False: a newer execution took over."""
        ...


class FoundFile(Frozen):
    """A file of the worktree, as far as it may be shown."""

    text: str | None
    """None: binary."""
    size_bytes: int
    cut: bool = False
    """There is more than what was read."""


class Lines(Frozen):
    """Output of a listing or a search, capped."""

    lines: tuple[str, ...]
    cut: bool = False


class WorktreeFiles(Protocol):
    """Reading for an agent. Every path is checked: one that leaves the worktree (absolute, .., through a symbolic
    link, .git) raises PhaseFailure(invalid_output) with the words for the model."""

    async def read(self, workspace_id: UUID, run_id: UUID, path: str, *, limit_bytes: int) -> FoundFile: ...

    async def listing(self, workspace_id: UUID, run_id: UUID, pattern: str, *, limit: int) -> Lines:
        """Paths of files that git does not ignore, matching the glob, sorted."""
        ...

    async def search(self, workspace_id: UUID, run_id: UUID, pattern: str, glob: str, *, limit: int) -> Lines:
        """`path:line:text` of the lines that match an extended regular expression."""
        ...


class ContextWindows(Protocol):
    def tokens(self, model: str) -> int | None:
        """Of `provider:model`; None: unknown."""
        ...
