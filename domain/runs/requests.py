"""What is asked of a run through Temporal itself: its entry, and the JSON of signals and updates."""

from typing import Self

from pydantic import Field, model_validator

from domain.base import Frozen
from domain.runs.messages import RunStart
from domain.runs.state import AttemptRecord, RunState


class RunEntry(RunStart):
    """Input of the workflow: a start as outsiders give it, or what continue-as-new carries on."""

    state: RunState | None = None

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        ways = [name for name in ("task", "run_id", "resume", "state") if getattr(self, name) is not None]
        if len(ways) != 1:
            given = " and ".join(ways) if ways else "none of them"
            raise ValueError(f"give exactly one of task, run_id and resume (given: {given})")
        return self

    @property
    def start(self) -> RunStart:
        return RunStart.model_validate(self.model_dump(exclude={"state"}))


class CancelRequest(Frozen):
    """JSON of the `cancel` signal and update."""

    reason: str = Field(default="", max_length=4_000)


class RunProgress(Frozen):
    """Answer of the `state` query."""

    run_id: str | None
    phase: str | None
    """The phase scheduled now; None between phases."""
    iteration: int
    cancel_requested: bool
    attempts: int
    tokens: int


class RunAttempts(Frozen):
    """Answer of the `attempts` query."""

    attempts: tuple[AttemptRecord, ...]
