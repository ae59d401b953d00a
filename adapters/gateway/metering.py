"""Reading along: what a forwarded answer used, said and called, without changing it."""

from dataclasses import dataclass, field
from typing import Protocol

from adapters.gateway.sse import Event
from domain.models.messages import Finish, ModelReply, TokenUsage, ToolCall


class Meter(Protocol):
    """Of one answer, in one format. What it does not know it passes over."""

    @property
    def ended(self) -> bool:
        """The stream's last event has come."""
        ...

    @property
    def complete(self) -> bool:
        """The answer is whole, whether or not its last event came."""
        ...

    @property
    def error(self) -> dict[str, object] | None:
        """The error object that the stream told."""
        ...

    def event(self, event: Event) -> None: ...

    def whole(self, body: bytes) -> None:
        """An answer that is no stream."""
        ...

    def reply(self) -> ModelReply: ...


@dataclass
class Heard:
    """What the meters have in common: the answer so far."""

    texts: list[str] = field(default_factory=list)
    calls: dict[int, "HeardCall"] = field(default_factory=dict)
    usage: TokenUsage = field(default_factory=TokenUsage)
    model: str | None = None
    response_id: str | None = None
    finish: Finish | None = None

    def call(self, index: int) -> "HeardCall":
        return self.calls.setdefault(index, HeardCall())

    def reply(self) -> ModelReply:
        return ModelReply(
            text="".join(self.texts),
            usage=self.usage,
            model_answered=self.model,
            provider_response_id=self.response_id,
            tool_calls=tuple(
                ToolCall(id=call.id, name=call.name, arguments="".join(call.arguments))
                for _, call in sorted(self.calls.items())
            ),
            finish=self.finish,
        )


@dataclass
class HeardCall:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
