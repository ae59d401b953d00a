"""What crosses the boundaries of a run: its start, its phases' keys and results."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints, field_validator

from domain.base import Frozen
from domain.pipelines.spec import Limits, PhaseName
from domain.runs.failure import PhaseError
from domain.runs.words import AttemptCause, OutcomeKind, PhaseStatus

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}:\S(?:[^\r\n]{0,398}\S)?$")]
"""`provider:model`, for example `openai:gpt-5-mini` or `scripted:demo`."""


def _printable(text: str) -> str:
    for position, char in enumerate(text):
        if (ord(char) < 32 and char not in "\n\t\r") or ord(char) == 127 or 0xD800 <= ord(char) <= 0xDFFF:
            raise ValueError(f"has the control character U+{ord(char):04X} at position {position}; take it out")
    return text


def _printable_or_none(text: str | None) -> str | None:
    return None if text is None else _printable(text)


class TaskSpec(Frozen):
    """A requested change, with context and acceptance."""

    change: str = Field(min_length=1, max_length=100_000)
    context: str = Field(default="", max_length=200_000)
    acceptance: tuple[str, ...] = ()
    target_paths: tuple[str, ...] = ()
    suggested_checks: tuple[str, ...] = ()

    _change = field_validator("change", "context")(_printable)

    @property
    def subject(self) -> str:
        """First line, at most 72 characters: a commit's subject."""
        first = self.change.strip().splitlines()[0] if self.change.strip() else "change"
        return first if len(first) <= 72 else first[:71] + "…"


class RunSettings(Frozen):
    """What a caller may set for one run, over the pipeline's and the workspace's own."""

    model: ModelName | None = None
    """For every role and stage that `models` does not name, over the pipeline's own."""
    models: dict[str, ModelName] = {}
    """By role or stage; a role's goes before its stage's (domain.models.choice)."""
    limits: Limits | None = None
    max_iterations: int | None = Field(default=None, ge=1, le=100)
    test_command: str | None = Field(default=None, min_length=1, max_length=10_000)
    priority: int = Field(default=3, ge=1, le=5)


class RunStart(Frozen):
    """What outsiders give: `temporal workflow start --type Run --input '{...}'`, POST /runs, the CLI.

    Exactly one of `run_id` (recorded before, sent by the relay), `resume` (a closed run) or `task`.
    """

    org: str = Field(default="default", min_length=1, max_length=100)
    """Name or id of the organization."""
    task: TaskSpec | None = None
    pipeline: str = Field(default="code-change", min_length=1, max_length=200)
    """Name of a known pipeline, or `name@hash` for one version of it."""
    workspace: str | None = Field(default=None, max_length=200)
    """Name or id of a workspace."""
    repo: str | None = Field(default=None, max_length=4_000)
    """Path of a git repository; its workspace is made when there is none yet."""
    settings: RunSettings = RunSettings()
    run_id: UUID | None = None
    resume: UUID | None = None

    _names = field_validator("org", "pipeline", "workspace", "repo")(_printable_or_none)

    @field_validator("task", mode="before")
    @classmethod
    def _plain_text(cls, value: object) -> object:
        return {"change": value} if isinstance(value, str) else value


class AttemptKey(Frozen):
    """Names one attempt for ever; ours, not Temporal's, so that a reopened run finds it."""

    org_id: UUID
    run_id: UUID
    iteration: int = Field(ge=0)
    """0 for phases outside the loop; the loop's iterations start at 1."""
    phase: PhaseName
    attempt: int = Field(ge=1)


class PhaseInput(Frozen):
    """Argument of the one activity that runs a phase; everything else it reads from the record."""

    key: AttemptKey
    cause: AttemptCause = AttemptCause.FIRST
    time_limit_seconds: float
    """The phase's own limit, cut to what is left of the run's time budget."""
    tree: str | None = None
    """Tree hash to restore before the phase; None: the workspace's base."""
    max_executions: int = 5
    """Executions of this attempt before an infrastructure failure ends it."""


class PhaseResult(Frozen):
    """What a phase gives back to the workflow: small; bodies are artifacts."""

    status: PhaseStatus
    error: PhaseError | None = None
    """Set exactly when status is FAILED or CANCELLED."""
    fingerprint: str | None = None
    """Of a failure or of requested changes: equal ones count as the same failure."""
    tree: str | None = None
    """Tree hash after the phase; None where no workspace was touched."""
    tokens: int = 0
    cost_usd: Decimal | None = Decimal(0)
    """None: unknown (an unpriced model, or a lost call)."""
    protected_changed: tuple[str, ...] = ()
    commit: str | None = None
    executions: int = 1
    model: str | None = None


class RunSummary(Frozen):
    """Result of the workflow, shown by Temporal's own tools."""

    run_id: UUID | None
    outcome: OutcomeKind | None = None
    """None: the run had ended before, and this workflow did nothing."""
    detail: str | None = None
    message: str
    iterations: int = 0
