"""Server-sent events in a stream of bytes: cut where they end, and read."""

import re
from typing import NamedTuple

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LONGEST_BYTES = 32 * 1024 * 1024
"""Of one event; a stream with a longer one is no event stream."""


class Event(NamedTuple):
    raw: bytes
    """With the empty line that ends it."""

    @property
    def name(self) -> str:
        return self._field(b"event")

    @property
    def data(self) -> str:
        return self._field(b"data")

    def _field(self, wanted: bytes) -> str:
        """Its lines of this name, joined as the specification says."""
        values: list[bytes] = []
        for line in self.raw.splitlines():
            name, _, value = line.partition(b":")
            if name == wanted:
                values.append(value.removeprefix(b" "))
        return b"\n".join(values).decode("utf-8", "replace")


class Events:
    """Feeds on pieces cut anywhere."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that are whole now. Raises ValueError when one is too long."""
        self._rest += data
        found: list[Event] = []
        begin = 0
        for end in _END.finditer(self._rest, self._searched):
            found.append(Event(bytes(self._rest[begin : end.end()])))
            begin = end.end()
        del self._rest[:begin]
        self._searched = max(0, len(self._rest) - 3)
        if len(self._rest) > _LONGEST_BYTES:
            raise ValueError(f"an event is longer than {_LONGEST_BYTES} bytes")
        return found

    @property
    def rest(self) -> bytes:
        """What has come of an event that has not ended."""
        return bytes(self._rest)


def event(data: str, name: str | None = None) -> bytes:
    """One event with one line of data."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {data}\n\n".encode()
