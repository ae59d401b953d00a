"""What passes between the gateway's endpoint, the one path of model calls, and the provider behind it."""

from enum import StrEnum
from typing import Protocol

from domain.base import Frozen
from domain.models.messages import ModelReply
from domain.models.ports import ModelProvider


class WireFormat(StrEnum):
    """A client's language. Its address says which."""

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC_MESSAGES = "anthropic_messages"


class WireRequest(Frozen):
    """A client's request as it came, and what was read in it."""

    format: WireFormat
    operation: str = ""
    """Below the format's own path: `compact` of responses, `count_tokens` of messages; empty: a model call."""
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """Lower-case names, in their order."""
    body: bytes
    model: str
    """As the client names it."""
    stream: bool = False
    max_output_tokens: int | None = None
    """As the client limits it; None: it does not."""


class WireResponse(Frozen):
    """A whole response, ready for the client."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class WireAnswer(Protocol):
    """The response to the client, written while the provider answers."""

    async def begin(self, status: int, headers: tuple[tuple[str, str], ...]) -> None:
        """Status and headers go out now; once."""
        ...

    async def send(self, data: bytes) -> None:
        """Goes out now; waits while the client does not read."""
        ...

    def hold(self, data: bytes) -> None:
        """Goes out when the call is in the record: the end of an answer, so that who has seen it may ask again."""
        ...

    def hold_whole(self, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        """A whole response that goes out when the call is in the record."""
        ...

    def failed(self, failure: WireResponse) -> None:
        """What the client gets when the call fails and nothing has gone out yet."""
        ...

    def told_failure(self) -> None:
        """The stream itself has told that it failed: nothing is added to it."""
        ...


class Forwarding(Protocol):
    """Makes the provider of one forwarded call: asked on the one path like any other, but with the client's own bytes
    where the provider speaks its format, and with text and tools translated where it does not."""

    def provider(self, asked: WireRequest, answer: WireAnswer) -> ModelProvider: ...


class WireClient(Protocol):
    """Who has shown a valid token."""

    @property
    def models(self) -> tuple[str, ...]:
        """`provider:model` names that it may ask for, its own first."""
        ...

    async def ask(self, asked: WireRequest, answer: WireAnswer) -> ModelReply:
        """One call on the one path. Raises CallRefused, Unavailable, and CancelledError after it was recorded."""
        ...


class WireClients(Protocol):
    def client(self, token: str) -> WireClient | None:
        """None: no such token, or no longer. Compared in constant time."""
        ...
