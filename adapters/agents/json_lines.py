"""What the readers of JSON event streams share: lines, JSON, and the count of what is unknown."""

import json
from abc import ABC, abstractmethod
from collections import Counter
from typing import Any

from adapters.agents.lines import LINE_LIMIT_BYTES, Lines, Oversized
from adapters.agents.values import clean, title
from domain.agents.external import TOOL_EXCERPT_LIMIT, AgentEvent, Unknown

UNKNOWN_NAMES = 50
"""Different names of unknown types that are counted apart."""
OTHER = "(other types)"
NO_JSON = "(no JSON)"
OVERSIZED = "(oversized line)"


class JsonLines(ABC):
    """Subclasses read one object. A line that is no JSON object is Unknown, and so is what a subclass does not know."""

    def __init__(self, limit_bytes: int = LINE_LIMIT_BYTES) -> None:
        self._lines = Lines(limit_bytes)
        self.unknown: Counter[str] = Counter()

    def feed(self, data: bytes) -> list[AgentEvent]:
        return [event for line in self._lines.feed(data) for event in self._read(line)]

    def finish(self) -> list[AgentEvent]:
        return [event for line in self._lines.finish() for event in self._read(line)]

    @abstractmethod
    def read(self, event: dict[str, Any]) -> list[AgentEvent] | None:
        """The events that one object tells; None: its type is unknown."""

    def _read(self, line: bytes | Oversized) -> list[AgentEvent]:
        if isinstance(line, Oversized):
            return [self.unclear(f"{OVERSIZED[:-1]}: {line.size:,} bytes)", line.head, OVERSIZED)]
        if not line.strip():
            return []
        try:
            event = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return [self.unclear(NO_JSON, line)]
        if not isinstance(event, dict):
            return [self.unclear(NO_JSON, line)]
        told = self.read(event)
        if told is not None:
            return told
        return [self.unclear(title(str(event.get("type"))), line)]

    def unclear(self, name: str, line: bytes, counted_as: str | None = None) -> Unknown:
        counted = counted_as or name
        if counted not in self.unknown and len(self.unknown) >= UNKNOWN_NAMES:
            counted = OTHER
        self.unknown[counted] += 1
        # four bytes are the longest character: enough for the excerpt, and an endless line is not decoded whole
        shown = clean(line[: 4 * TOOL_EXCERPT_LIMIT].decode("utf-8", "replace"))
        return Unknown(type=name, excerpt=shown[:TOOL_EXCERPT_LIMIT])
