"""Bytes in any cut -> whole lines, with a bound on the longest."""

LINE_LIMIT_BYTES = 8 * 1024 * 1024
"""A tool's result may carry an image; nothing that we read is larger."""
HEAD_BYTES = 2_000
"""Kept of a line that is longer."""


class Oversized:
    """A line above the limit: its beginning and its length."""

    __slots__ = ("head", "size")

    def __init__(self, head: bytes, size: int) -> None:
        self.head = head
        self.size = size


class Lines:
    def __init__(self, limit_bytes: int = LINE_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._open: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes | Oversized]:
        """The lines that this piece completed, without their newline."""
        *ended, rest = data.split(b"\n")
        lines: list[bytes | Oversized] = []
        for piece in ended:
            self._add(piece)
            lines.append(self._take())
        self._add(rest)
        return lines

    def finish(self) -> list[bytes | Oversized]:
        return [self._take()] if self._size else []

    def _add(self, piece: bytes) -> None:
        if not piece:
            return
        before, self._size = self._size, self._size + len(piece)
        if self._size <= self._limit:
            self._open.append(piece)
        elif before <= self._limit:
            self._open = [(b"".join(self._open) + piece)[:HEAD_BYTES]]

    def _take(self) -> bytes | Oversized:
        body, size = b"".join(self._open), self._size
        self._open, self._size = [], 0
        return body if size <= self._limit else Oversized(body[:HEAD_BYTES], size)
