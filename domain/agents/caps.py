"""The caps of one attempt of an agent phase: turns, tokens, money, time. Checked before each call is made."""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

from domain.base import Frozen


class Cap(StrEnum):
    TURNS = "turns"
    TOKENS = "tokens"
    COST = "cost"
    TIME = "time"


class Caps(Frozen):
    """None is no cap; turns and time always have one."""

    turns: int
    tokens: int | None = None
    cost_usd: Decimal | None = None
    seconds: float


class CallCost(Frozen):
    """What one model call of the attempt used, as the record has it."""

    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    cost_usd: Decimal | None = None
    """None: unknown."""
    api_seconds: float = 0.0

    @property
    def tokens(self) -> int:
        return (self.tokens_in or 0) + (self.tokens_out or 0)


class Spent(Frozen):
    turns: int = 0
    tokens: int = 0
    cost_usd: Decimal | None = Decimal(0)
    """None as soon as one part is unknown."""
    dearest_usd: Decimal = Decimal(0)
    """Of one call so far: what the next one may well cost."""
    seconds: float = 0.0


class Hit(Frozen):
    """A cap that leaves no room for another call."""

    cap: Cap
    message: str


def spent(turns: int, calls: Sequence[CallCost], seconds: float, *, unknown_calls: int = 0) -> Spent:
    """`unknown_calls` (lost, or cut off) count as much as the largest and the dearest that is known."""
    costs = [call.cost_usd for call in calls]
    known = [cost for cost in costs if cost is not None]
    dearest, largest = max(known, default=Decimal(0)), max((call.tokens for call in calls), default=0)
    return Spent(
        turns=turns,
        tokens=sum(call.tokens for call in calls) + unknown_calls * largest,
        cost_usd=sum(known, unknown_calls * dearest) if len(known) == len(costs) else None,
        dearest_usd=dearest,
        seconds=seconds,
    )


def hit(caps: Caps, used: Spent, next_tokens_in: int) -> Hit | None:
    """The first cap that the next call, with about `next_tokens_in` of input, would go over."""
    if used.seconds >= caps.seconds:
        return Hit(cap=Cap.TIME, message=f"The agent worked {used.seconds:,.0f} of {caps.seconds:,.0f} s.")
    if used.turns >= caps.turns:
        return Hit(cap=Cap.TURNS, message=f"The agent took all of its {caps.turns} turns and did not finish.")
    if caps.tokens is not None and used.tokens + next_tokens_in >= caps.tokens:
        return Hit(
            cap=Cap.TOKENS,
            message=f"The agent used {used.tokens:,} of {caps.tokens:,} tokens; its next call would take about "
            f"{next_tokens_in:,} more.",
        )
    if caps.cost_usd is not None and used.cost_usd is None:
        return Hit(
            cap=Cap.COST,
            message="The cost of a call is unknown (its model has no price, or the call was lost), so the cap of "
            f"${caps.cost_usd.normalize():f} cannot be kept.",
        )
    if caps.cost_usd is not None and used.cost_usd is not None and used.cost_usd + used.dearest_usd >= caps.cost_usd:
        return Hit(
            cap=Cap.COST,
            message=f"The agent spent ${used.cost_usd.normalize():f} of ${caps.cost_usd.normalize():f}; another call "
            "could go over it.",
        )
    return None


def output_room(caps: Caps, used: Spent, next_tokens_in: int, wanted: int) -> int:
    """Tokens that the next reply may have: no more than the cap leaves."""
    if caps.tokens is None:
        return wanted
    return max(1, min(wanted, caps.tokens - used.tokens - next_tokens_in))
