"""The end of a phase's last call, left to the transaction that ends the phase.

Where nothing but the phase's own end follows an answer, both are one round trip and one commit: both are there or
neither. Wherever the phase does not come to that transaction, the call is recorded by itself.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from activities.models.shielding import to_its_end
from domain.models.ports import CallEnd


@dataclass(frozen=True)
class _Left:
    end: Callable[[], CallEnd]
    record: Callable[[], Coroutine[Any, Any, object]]


class Settlement:
    """Of one execution. Holds at most one call: the last."""

    def __init__(self) -> None:
        self._left: _Left | None = None

    def leave(self, end: Callable[[], CallEnd], record: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """`end` is asked when the transaction is about to be sent; `record` writes the end by itself."""
        self._left = _Left(end, record)

    def end(self) -> CallEnd | None:
        """What the transaction that ends the phase has to write too."""
        return self._left.end() if self._left else None

    def recorded(self) -> None:
        """It was written by that transaction."""
        self._left = None

    async def __aenter__(self) -> "Settlement":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.settle()

    async def settle(self) -> None:
        """Writes what is left. Raises Unavailable when the database stays away."""
        left, self._left = self._left, None
        if left is not None:
            await to_its_end(left.record())
