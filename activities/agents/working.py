"""One execution of an agent phase, as it goes: what it works on, and what the attempt has used so far."""

from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic

from activities.runs.context import PhaseContext
from domain.agents.caps import CallCost, Caps, Spent, spent
from domain.agents.context import Shown
from domain.agents.conversation import Conversation
from domain.models.messages import AnsweredCall
from domain.pipelines.spec import AgentPhase
from domain.runs.ports import Usage


@dataclass
class Working:
    context: PhaseContext
    spec: AgentPhase
    model: str
    """`provider:model` that is asked."""
    window: int
    """Tokens that the model's context holds."""
    conversation: Conversation
    paid: list[CallCost] = field(default_factory=list)
    """Every call of the attempt, over all its executions."""
    unknown_calls: int = 0
    model_answered: str | None = None
    shown: Shown = field(default_factory=Shown)
    dirty: bool = False
    """The worktree may differ from the conversation's tree."""
    first_turn: int = 1
    """The turn at which this execution took the work up."""
    started: float = field(default_factory=monotonic)
    seconds_before: float = 0.0
    """What earlier executions had worked until their last checkpoint."""

    @property
    def seconds(self) -> float:
        return self.seconds_before + monotonic() - self.started

    @property
    def seconds_left(self) -> float:
        return self.caps.seconds - self.seconds

    @property
    def caps(self) -> Caps:
        return Caps(
            turns=self.spec.max_turns,
            tokens=self.spec.max_tokens,
            cost_usd=self.spec.max_cost_usd,
            seconds=self.context.phase.time_limit_seconds,
        )

    @property
    def spent(self) -> Spent:
        turns = self.conversation.next_turn - 1
        return spent(turns, self.paid, self.seconds, unknown_calls=self.unknown_calls)

    @property
    def usage(self) -> Usage:
        costs = [call.cost_usd for call in self.paid]
        known = [cost for cost in costs if cost is not None]
        return Usage(
            tokens_in=sum(call.tokens_in or 0 for call in self.paid),
            tokens_out=sum(call.tokens_out or 0 for call in self.paid),
            tokens_cached=sum(call.tokens_cached or 0 for call in self.paid),
            cost_usd=sum(known, Decimal(0)) if len(known) == len(costs) else None,
            api_seconds=sum(call.api_seconds for call in self.paid),
        )

    def answered(self, call: AnsweredCall) -> None:
        """A repeated call was paid before: the record told of it when the phase was opened."""
        self.model_answered = call.reply.model_answered or self.model_answered
        if call.repeated:
            return
        usage = call.reply.usage
        self.paid.append(
            CallCost(
                tokens_in=usage.tokens_in,
                tokens_out=usage.tokens_out,
                tokens_cached=usage.tokens_cached,
                cost_usd=call.cost_usd,
                api_seconds=call.times.api_seconds if call.times else 0.0,
            )
        )
