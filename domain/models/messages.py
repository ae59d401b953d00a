"""A model call: what is asked, what comes back, what it cost."""

from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from domain.base import Frozen
from domain.runs.failure import PhaseError


class Speaker(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class ToolSpec(Frozen):
    """A tool that is offered with a call."""

    name: str
    description: str
    parameters: dict[str, object]
    """JSON schema of its arguments, an object."""


class ToolCall(Frozen):
    """What a model wants done. `arguments` is its text, as it came: it may be no JSON at all, or cut off."""

    id: str
    name: str
    arguments: str


class ToolResult(Frozen):
    """What came of a tool call, said back to the model."""

    call_id: str
    name: str
    text: str
    is_error: bool = False


class Message(Frozen):
    speaker: Speaker
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    """Of the assistant, in its order."""
    tool_results: tuple[ToolResult, ...] = ()
    """Of the user's side: one for each tool call of the message before it."""


class Finish(StrEnum):
    """Why a reply ended, where the provider says it."""

    STOP = "stop"
    LENGTH = "length"
    """Cut off at the limit on output tokens: its last tool call may be incomplete."""
    TOOL_CALLS = "tool_calls"


class ModelRequest(Frozen):
    """One call. `role`, `turn` and `iteration` say who speaks and for which time (the scripted provider answers by
    them; other providers ignore them)."""

    model: str
    """Without the provider's prefix."""
    messages: tuple[Message, ...]
    role: str
    turn: int = 1
    """A phase of one call: as `iteration`. An agent: the n-th call of this attempt, from 1."""
    iteration: int = 1
    """For which time the role's phase is done in this run: once an iteration, and once more for each retry."""
    max_output_tokens: int = 16_000
    timeout_seconds: float = 600.0
    json_schema: dict[str, object] | None = None
    seed: int | None = None
    tools: tuple[ToolSpec, ...] = ()


class TokenUsage(Frozen):
    """As the provider reports it; None where it says nothing (never 0 for unknown)."""

    tokens_in: int | None = None
    """All input tokens, the cached ones included."""
    tokens_out: int | None = None
    tokens_cached: int | None = None
    """Of these, read from the provider's cache."""
    tokens_cache_written: int | None = None
    """Of these, written to the provider's cache, where that has a price of its own."""
    billed_usd: Decimal | None = None
    """What the provider says it billed (a billed 0 is 0)."""


class ModelReply(Frozen):
    text: str
    usage: TokenUsage = TokenUsage()
    model_answered: str | None = None
    provider_response_id: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish | None = None


class CallScope(Frozen):
    """For whom a call is made. `step_key` is unique in the attempt, so that an answered call is found again."""

    org_id: UUID
    run_id: UUID | None = None
    execution_id: UUID | None = None
    attempt_id: UUID | None = None
    step_key: str
    title: str = ""
    run_tokens: int | None = None
    """The run's own limit on tokens; None: no limit. Checked with the reservation, so it is never overshot."""
    run_usd: Decimal | None = None
    """The run's own limit on money; None: no limit."""


class CallTimes(Frozen):
    """Seconds of a monotonic clock: asked -> permitted (queue) -> answered (api) -> recorded (run).

    The parts sum to the call's wall time. `run_seconds` in the record ends inside `end_call`'s own statement.
    """

    queue_seconds: float
    api_seconds: float
    run_seconds: float

    @property
    def wall_seconds(self) -> float:
        return self.queue_seconds + self.api_seconds + self.run_seconds


class AnsweredCall(Frozen):
    """A call with its reply, as the caller gets it from the one path."""

    reply: ModelReply
    cost_usd: Decimal | None
    """None: unpriced."""
    price_version: str | None = None
    repeated: bool = False
    """True: found in the record by its step key, not asked (or paid) again."""
    step_id: UUID | None = None
    model_asked: str | None = None
    """`provider:model`."""
    reply_sha256: str | None = None
    times: CallTimes | None = None
    """None for a repeated call: nothing was measured."""


class CallRefused(Exception):
    """`begin_call` did not let the call through, or the provider failed. Carries the PhaseError.

    `maybe_billed` says whether the provider may charge for the failed call: then its cost is unknown (null, and
    its reservation keeps counting), else it is 0. A refusal by status is not billed; a call that was sent and cut
    off may be. `reply` is what was answered and paid but cannot be used (filtered, empty): its usage counts.
    """

    def __init__(self, error: PhaseError, *, maybe_billed: bool = False, reply: ModelReply | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.maybe_billed = maybe_billed
        self.reply = reply
