"""The gateway: an address and a token that let a foreign coding agent call models on the one path (DESIGN 6)."""

from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path
from typing import Literal, Protocol
from uuid import UUID

from domain.base import Frozen
from domain.runs.failure import PhaseError

GRANTED_MODEL = "millwright"
"""What a client may always call the grant's own model, for clients that cannot spell every name."""


class GatewayUse(Frozen):
    """What was called under a grant so far, from the steps that the gateway recorded."""

    calls: int = 0
    """Let through: answered, failed and in flight."""
    in_flight: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost_usd: Decimal | None = Decimal(0)
    """None: unknown, because one of them was cut off or has no price."""
    api_seconds: float = 0.0
    model_answered: str | None = None
    """Of the newest answered call."""
    trouble: PhaseError | None = None
    """Why the newest call was refused or failed; None when the newest one was answered."""
    exhausted: Literal["calls", "tokens", "cost"] | None = None
    """The grant's own cap that refused a call."""


class GatewayGrant(Frozen):
    """For whom calls are let through: one execution of a phase. `role` is recorded with each call."""

    org_id: UUID
    run_id: UUID
    attempt_id: UUID
    execution_id: UUID
    role: str
    iteration: int = 1
    """With the role: which replies of a scripted model are meant."""
    model: str
    """`provider:model` that the execution works with."""
    also_allowed: tuple[str, ...] = ()
    """More names (`provider:model`) that its clients may ask for. Any other model is refused by name."""
    run_tokens: int | None = None
    """The run's own limit on tokens; None: no limit."""
    run_usd: Decimal | None = None
    max_calls: int | None = None
    """Caps of the grant itself: a call that would begin above one is refused and says so (GatewayUse.exhausted)."""
    max_tokens: int | None = None
    max_usd: Decimal | None = None


class GatewayAddress(Frozen):
    """Where the gateway of this process is reached."""

    base_url_openai: str
    """Ends in `/v1`: clients add `/chat/completions`, `/responses`, `/models`."""
    base_url_anthropic: str
    """Clients add `/v1/messages`, `/v1/messages/count_tokens`, `/v1/models`."""
    socket: Path | None = None
    """Unix socket of the same server, for commands in a network namespace of their own (Command.sockets)."""
    forwarder: tuple[str, ...] = ()
    """Put before the command's argv there: listens on the port of the addresses above, so that they hold inside
    as well, hands every connection to `socket`, and becomes the command."""


class GatewayAccess(GatewayAddress):
    """What a client is told. It may name a model `provider:model`, by what follows the colon, or GRANTED_MODEL."""

    token: str
    """As `Authorization: Bearer` or `x-api-key`; worthless when the grant ends."""


class GatewayPort(Protocol):
    def granted(self, grant: GatewayGrant) -> AbstractAsyncContextManager[GatewayAccess]:
        """Access for as long as the context is open. At its end calls in flight are cancelled and recorded so, and
        the token gets 401. Raises Unavailable when the gateway does not listen."""
        ...

    def use(self, token: str) -> GatewayUse:
        """Of the grant with this token, at any time until its context has ended and once more right after it (the
        calls that the end cancelled are counted then). An unknown token: nothing used."""
        ...
