"""An external coding agent, seen from a phase: how it is started, and the closed set of what it tells.

Each agent speaks an event stream of its own. adapters/agents turns the bytes into these events; what they claim is
shown, never believed: calls and their cost are the gateway's steps, the tree is what git says.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from domain.agents.ports import AgentSession
from domain.base import Frozen
from domain.pipelines.spec import AgentExecutor
from domain.runs.messages import AttemptKey
from domain.runs.ports import Lease
from domain.runs.words import PhaseStatus

TITLE_LIMIT = 200
"""Characters of a tool call's title."""
TOOL_EXCERPT_LIMIT = 2_000
"""Characters kept of what a tool call gave back: its end, where the outcome stands."""
TEXT_LIMIT = 64_000
"""Characters kept of one text of the agent."""


class SessionStarted(Frozen):
    """The agent's own name for the conversation: by it the next execution goes on."""

    session_id: str


class Said(Frozen):
    text: str


class ToolBegun(Frozen):
    call_id: str
    """Unique in one stream."""
    title: str


class ToolEnded(Frozen):
    """Its beginning may never have been told (some agents only tell ends)."""

    call_id: str
    title: str
    """Empty: as it began."""
    ok: bool
    excerpt: str = ""
    exit_code: int | None = None


class UsageClaimed(Frozen):
    """What the agent says that it used; shown beside the gateway's own count, never used for cost."""

    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None


class ResultGiven(Frozen):
    """The agent says that its turn is over. Without one it was cut off, whatever its exit code."""

    text: str
    ok: bool = True
    reason: str = ""
    """Why it ended, in the agent's word, when not ok."""


class ErrorTold(Frozen):
    message: str


class Unknown(Frozen):
    """An event that we do not know, or a line that is none: kept as it came and counted, never an error."""

    type: str
    excerpt: str


AgentEvent = SessionStarted | Said | ToolBegun | ToolEnded | UsageClaimed | ResultGiven | ErrorTold | Unknown


class EventStream(Protocol):
    """Reads one agent's output as it comes; memory is bounded whatever comes."""

    @property
    def unknown(self) -> Counter[str]:
        """How often each unknown type came; bounded in names."""
        ...

    def feed(self, data: bytes) -> list[AgentEvent]:
        """Any cut of the bytes gives the same events."""
        ...

    def finish(self) -> list[AgentEvent]:
        """The end of the output; a last line without its newline is read as well as it can be."""
        ...


class AgentTask(Frozen):
    """What an agent is started for."""

    prompt: str
    session_id: str | None = None
    """Goes on with this conversation; None: a new one."""
    model: str
    """As the gateway knows it, without the provider's prefix."""
    openai_url: str
    """Base URL of the gateway in OpenAI's format, with the version in its path."""
    anthropic_url: str
    """Base URL in Anthropic's format, without the version in its path."""
    token: str
    home: Path
    """HOME of the agent: private to the run, kept over its executions. Only the agent writes there."""
    given: Path
    """Folder of the files of the launch. Only we write there."""


class AgentLaunch(Frozen):
    argv: tuple[str, ...]
    env: dict[str, str] = {}
    """Added to the command's; holds the gateway's token and no key of any provider."""
    files: dict[str, str] = {}
    """Written into the task's `given` before the start: name -> text."""
    stdin: str = ""
    litter: tuple[str, ...] = ()
    """Globs at the root of the worktree of what the agent leaves for itself there; removed at its end."""


class ExternalAgent(Protocol):
    """One kind of external agent."""

    @property
    def executable(self) -> str: ...

    @property
    def install_hint(self) -> str:
        """How to get it where it is missing."""
        ...

    def launch(self, task: AgentTask) -> AgentLaunch: ...

    def events(self, *, resumed: str | None) -> EventStream:
        """A reader for one start; `resumed` is the session that it goes on with."""
        ...


ExternalAgents = Mapping[AgentExecutor, ExternalAgent]


class AgentFolder(Frozen):
    """Where one agent of a run lives, outside of the worktree."""

    home: Path
    given: Path

    @property
    def problems(self) -> Path:
        """What the agent writes to standard error. Below HOME, so never trusted to be a plain file."""
        return self.home / ".millwright-stderr"


class AgentFolders(Protocol):
    """Implemented by adapters/agents/folders.py. Raises PhaseFailure(storage)."""

    def of(self, worktree: Path, executor: AgentExecutor) -> AgentFolder: ...

    async def knows_agent(self, folder: AgentFolder) -> bool:
        """Whether the agent has lived here: without its HOME there is no session to go on with."""
        ...

    async def give(self, folder: AgentFolder, files: Mapping[str, str]) -> None:
        """Makes the folder and puts these files, and no others, into `given`."""
        ...

    async def problems(self, folder: AgentFolder, *, limit_bytes: int) -> str:
        """The end of what it wrote to standard error; empty when there is no such plain file."""
        ...


class EarlierSession(Frozen):
    """The newest session that a phase may go on with."""

    session: AgentSession
    same_attempt: bool
    """True: an earlier execution of this attempt was lost. False: an earlier iteration has ended."""
    status: PhaseStatus
    """Of the attempt that it belongs to."""


class EarlierSessions(Protocol):
    async def newest(self, key: AttemptKey, lease: Lease) -> EarlierSession | None:
        """Of this attempt, else of the same phase in an earlier iteration. A retry that was asked for begins without
        the memory of what it replaces. Raises Unavailable."""
        ...

    async def count_turns(self, key: AttemptKey, lease: Lease, turns: int) -> None:
        """Model calls of the attempt so far, for people. Nothing is written once a newer execution took over."""
        ...
