"""How often a phase failed in the same way before it had a row.

Temporal counts every attempt of an activity together, waits for a permit too: a worker that was killed once after six
waits looks like seven failures. So equal failures are counted from the first look that saw this one and nothing else.
"""

from dataclasses import dataclass
from uuid import UUID

Phase = tuple[UUID, str]
"""Run and activity id."""


@dataclass(frozen=True)
class _First:
    message: str
    attempt: int


class EqualFailures:
    def __init__(self) -> None:
        self._first: dict[Phase, _First] = {}

    def count(self, phase: Phase, message: str, attempt: int) -> int:
        """`attempt` is Temporal's number of the one that follows the failure."""
        first = self._first.get(phase)
        if first is None or first.message != message:
            first = self._first[phase] = _First(message, attempt)
        return attempt - first.attempt + 1

    def none(self, phase: Phase) -> None:
        """It waits, or failed in a way that its rows count."""
        self._first.pop(phase, None)

    def keep(self, runs: set[UUID]) -> None:
        """Forgets all other runs: they are at work, or ended."""
        self._first = {phase: first for phase, first in self._first.items() if phase[0] in runs}
