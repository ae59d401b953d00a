"""A pipeline, validated: a named, versioned list of phases with limits.

The YAML reader (pipelines/load.py) adds file, line and field to each error and puts the prompt texts in,
so the content hash of this model covers everything that a run of it can see.
"""

import hashlib
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from domain.base import Frozen
from domain.runs.words import Effect

PhaseName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class PhaseKind(StrEnum):
    MODEL = "model"
    AGENT = "agent"
    COMMAND = "command"
    REVIEW = "review"
    GIT = "git"
    RENDER = "render"
    APPROVAL = "approval"


class ModelOutput(StrEnum):
    TEXT = "text"
    FILES = "files"
    """JSON object {"files": {path: whole new text | null to delete}}, applied to the tree."""
    PATCH = "patch"
    """A unified diff, applied to the tree."""


class _Phase(Frozen):
    name: PhaseName
    time_limit_seconds: float = Field(default=1800, gt=0, le=86_400)
    stall_seconds: float = Field(default=300, gt=0, le=86_400)
    """Without output, CPU time or a call in flight for this long the phase ends as `stalled`."""
    max_consecutive_failures: int = Field(default=3, ge=1, le=100)
    """Equal failures (same fingerprint) in a row that end the run."""
    max_failures: int = Field(default=10, ge=1, le=1000)
    """Failures of any fingerprint that end the run."""
    max_executions: int = Field(default=5, ge=1, le=100)
    """Executions of one attempt before an infrastructure failure becomes `phase_error`."""


class _Prompted(_Phase):
    role: str = "coder"
    stage: str = "execution"
    model: str | None = None
    """`provider:model`; without it the run's or the organization's default for the role."""
    prompt: str = Field(min_length=1)
    """Jinja2 template text (in YAML: a path relative to the pipeline's file)."""
    context_files: tuple[str, ...] = ()
    """Globs of repository files put into the prompt, newest tree, capped."""
    max_output_tokens: int = Field(default=16_000, ge=1, le=1_000_000)


class ModelPhase(_Prompted):
    kind: Literal[PhaseKind.MODEL]
    output: ModelOutput = ModelOutput.TEXT


class ReviewPhase(_Prompted):
    """A model reads the diff and answers {"approved": bool, "comments": str}."""

    kind: Literal[PhaseKind.REVIEW]
    role: str = "reviewer"


class AgentExecutor(StrEnum):
    """Who works on an agent phase: our own tool loop, or an external agent whose calls go through the gateway."""

    BUILTIN = "builtin"
    CLAUDE_CODE = "claude-code"
    CODEX = "codex"
    OPENCODE = "opencode"
    AIDER = "aider"


class AgentPhase(_Prompted):
    """A coding agent changes the tree with tools, turn by turn, until it says that it has finished."""

    kind: Literal[PhaseKind.AGENT]
    max_executions: int = Field(default=20, ge=1, le=100)
    """More than of other phases: an agent works for hours, and each execution goes on where the one before was."""
    executor: AgentExecutor = AgentExecutor.BUILTIN
    max_turns: int = Field(default=50, ge=1, le=1000)
    """Model calls of one attempt, badly formed replies included."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens in and out of one attempt."""
    max_cost_usd: Decimal | None = Field(default=None, gt=0)
    """Of one attempt."""
    unsafe_tools: tuple[str, ...] = ()
    """Tools that reach outside of the worktree: never repeated by themselves when they may have happened."""
    command_seconds: float = Field(default=120, gt=0, le=3600)
    """Longest time of one command that the agent runs."""
    context_tokens: int | None = Field(default=None, ge=4_000)
    """The model's context window, where it is unknown or only part of it is to be used."""


class CommandPhase(_Phase):
    kind: Literal[PhaseKind.COMMAND]
    command: str | None = Field(default=None, min_length=1)
    """Run by /bin/sh in the worktree."""
    workspace_command: Literal["test"] | None = None
    """Run the workspace's own command instead."""
    verifies: bool = False
    """Its pass on the final tree makes the outcome `verified`."""
    red_before: Literal["fail", "pass"] = "fail"
    """When a verification fails only with tests that were red or flaky before the run: it fails all the same (they may
    be what the task is about), or passes."""
    effect: Effect = Effect.IDEMPOTENT
    """`unsafe`: reaches outside; never repeated by itself when it may have happened."""

    @model_validator(mode="after")
    def _one_command(self) -> Self:
        if (self.command is None) == (self.workspace_command is None):
            raise ValueError("give exactly one of `command` and `workspace_command`")
        return self


class GitPhase(_Phase):
    kind: Literal[PhaseKind.GIT]
    action: Literal["commit", "deliver"]
    """`commit`: the tree as one commit on the run's branch. `deliver`: push that branch."""
    message: str = "{{ task.subject }}"
    remote: str = "origin"
    """`origin` is the user's repository; `bundle` none, the commits stay with the run; else a URL or path that the
    workspace allows."""


PhaseSpec = Annotated[ModelPhase | AgentPhase | ReviewPhase | CommandPhase | GitPhase, Field(discriminator="kind")]
WorkPhase = ModelPhase | AgentPhase | ReviewPhase | CommandPhase | GitPhase


class Loop(Frozen):
    max_iterations: int = Field(default=5, ge=1, le=100)
    phases: tuple[PhaseSpec, ...] = Field(min_length=1, max_length=20)


class LoopItem(Frozen):
    loop: Loop


DEFAULT_TIME_SECONDS = 86_400.0
"""Time budget of a run when neither the pipeline nor the caller gives one: no run goes on for ever."""


class Limits(Frozen):
    """Of a whole run; None is no limit (of time: DEFAULT_TIME_SECONDS). domain.runs.limits puts them together."""

    tokens: int | None = Field(default=None, ge=1)
    cost_usd: Decimal | None = Field(default=None, gt=0)
    time_seconds: float | None = Field(default=None, gt=0, le=30 * 86_400)


class Pipeline(Frozen):
    name: PhaseName
    description: str = ""
    limits: Limits = Limits()
    needs_workspace: bool = True
    """False: the phases touch no repository (model and review phases with text output only)."""
    protected: tuple[str, ...] = ()
    """Globs of files that count only with their base content when the run is verified."""
    phases: tuple[PhaseSpec | LoopItem, ...] = Field(min_length=1, max_length=20)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        loops = [item for item in self.phases if isinstance(item, LoopItem)]
        if len(loops) > 1:
            raise ValueError("a pipeline has at most one loop")
        names = [phase.name for phase in self.all_phases]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"phase names must differ; given twice: {', '.join(twice)}")
        if not self.needs_workspace:
            touching = [p.name for p in self.all_phases if touches_tree(p)]
            if touching:
                raise ValueError(f"needs_workspace is false, but these phases use it: {', '.join(touching)}")
        return self

    @property
    def all_phases(self) -> tuple[WorkPhase, ...]:
        flat: list[WorkPhase] = []
        for item in self.phases:
            flat.extend(item.loop.phases if isinstance(item, LoopItem) else (item,))
        return tuple(flat)

    def phase(self, name: str) -> WorkPhase:
        """Raises KeyError when there is no such phase."""
        for phase in self.all_phases:
            if phase.name == name:
                return phase
        raise KeyError(name)

    @property
    def loop(self) -> Loop | None:
        return next((item.loop for item in self.phases if isinstance(item, LoopItem)), None)

    @property
    def content_hash(self) -> str:
        """SHA-256 hex of the canonical JSON: the version that a run pins."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def touches_tree(phase: WorkPhase) -> bool:
    """Whether the phase needs the worktree at all (a text-only model phase does not)."""
    if isinstance(phase, ModelPhase):
        return phase.output is not ModelOutput.TEXT or bool(phase.context_files)
    return True


def writes_tree(phase: WorkPhase) -> bool:
    """Whether the phase's purpose is to change the tree (what `stuck` watches)."""
    if isinstance(phase, AgentPhase):
        return True
    return isinstance(phase, ModelPhase) and phase.output is not ModelOutput.TEXT
