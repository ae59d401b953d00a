"""What is kept of a command's output: its head, live, and its tail, in bounded memory, redacted.

Bytes are only counted and copied while a command floods; decoding, cleaning and redaction touch the head and the tail.
"""

from adapters.sandbox.cleaning import Cleaner, LineTail
from domain.redaction import Redactor

BATCH_CHARACTERS = 32 * 1024
MARGIN_BYTES = 64 * 1024
"""Kept before the tail and never shown: a secret that begins in it is recognised, and so its rest is not shown."""


class OutputWindow:
    """Head, count of what is left out, tail."""

    def __init__(self, redactor: Redactor, head_bytes: int, tail_bytes: int) -> None:
        self._redactor = redactor
        self._tail_bytes = tail_bytes
        self._head_left = head_bytes
        self._pending = bytearray()
        self._ring = bytearray()
        self._ring_bytes = 0
        self._cleaner = Cleaner()
        self._stream = redactor.stream()
        self._shown: list[str] = []
        self._lines = LineTail()
        self.left_out_bytes = 0

    def add(self, data: bytes) -> None:
        """Cheap: no decoding. Called for every read."""
        if self._head_left > 0:
            head = data[: self._head_left]
            self._pending += head
            self._head_left -= len(head)
            data = data[len(head) :]
        if data:
            self._ring += data
            self._ring_bytes += len(data)
            room = self._tail_bytes + MARGIN_BYTES
            if len(self._ring) > 2 * room:
                del self._ring[:-room]

    @property
    def pending_bytes(self) -> int:
        """Bytes of the head that were not taken yet."""
        return len(self._pending)

    def take_live(self) -> list[str]:
        """The next pieces of the head, redacted, each at most BATCH_CHARACTERS long."""
        data = bytes(self._pending)
        self._pending.clear()
        return self._show(self._stream.feed(self._cleaner.feed(data))) if data else []

    def finish(self) -> list[str]:
        """The rest: what the head still held, the line about what is left out, the tail. Called once."""
        data = bytes(self._pending)
        self._pending.clear()
        text = self._stream.feed(self._cleaner.feed(data))
        if self._ring_bytes <= self._tail_bytes:
            rest = self._cleaner.feed(bytes(self._ring), final=True)
            return self._show(text + self._stream.feed(rest) + self._stream.flush())
        # What the head's stream still holds back may be the first part of a secret that goes on where nothing is kept.
        self.left_out_bytes = self._ring_bytes - self._tail_bytes
        kept = bytes(self._ring)[-(self._tail_bytes + MARGIN_BYTES) :]
        cleaner, stream = Cleaner(), self._redactor.stream()
        margin, tail = (kept[: -self._tail_bytes], kept[-self._tail_bytes :]) if self._tail_bytes else (kept, b"")
        stream.feed(cleaner.feed(margin))
        shown_tail = stream.feed(cleaner.feed(tail, final=True)) + stream.flush()
        start = "" if text.endswith("\n") or (not text and self._ends_line()) else "\n"
        return self._show(f"{text}{start}[… {self.left_out_bytes:,} bytes left out …]\n{shown_tail}")

    def add_line(self, text: str) -> list[str]:
        """A line of our own, after `finish`."""
        return self._show(f"{text}\n" if self._ends_line() else f"\n{text}\n")

    def _ends_line(self) -> bool:
        return not self._shown or self._shown[-1].endswith("\n")

    def _show(self, text: str) -> list[str]:
        pieces = [text[at : at + BATCH_CHARACTERS] for at in range(0, len(text), BATCH_CHARACTERS)]
        self._shown.extend(pieces)
        self._lines.feed(text)
        return pieces

    @property
    def text(self) -> str:
        """All that was shown so far."""
        return "".join(self._shown)

    @property
    def last_lines(self) -> str:
        return self._lines.text
