"""What people see of an external agent while it works: its words and its tool calls, in bounded memory."""

BATCH_CHARACTERS = 16 * 1024
HEAD_CHARACTERS = 256 * 1024
TAIL_CHARACTERS = 256 * 1024


class Shown:
    """The first part goes out live; of the rest the end is kept and goes out last."""

    def __init__(self) -> None:
        self._pending: list[str] = []
        self._pending_size = 0
        self._all: list[str] = []
        self._live_left = HEAD_CHARACTERS
        self._tail: list[str] = []
        self._tail_kept = 0
        self._tail_size = 0

    def add(self, text: str) -> None:
        live, rest = text[: self._live_left], text[self._live_left :]
        self._live_left -= len(live)
        if live:
            self._pending.append(live)
            self._pending_size += len(live)
        if rest:
            self._tail_size += len(rest)
            self._tail_kept += len(rest)
            self._tail.append(rest)
            if self._tail_kept > 2 * TAIL_CHARACTERS:
                self._trim()

    @property
    def is_due(self) -> bool:
        return self._pending_size >= BATCH_CHARACTERS

    def take(self) -> str:
        """What has not gone out yet."""
        text = "".join(self._pending)
        self._pending, self._pending_size = [], 0
        self._all.append(text)
        return text

    def finish(self) -> str:
        """The last of it; with it `text` is whole."""
        self._trim()
        tail = self._tail[0]
        left_out = self._tail_size - len(tail)
        between = f"\n[… {left_out:,} characters left out …]\n" if left_out else ""
        last = self.take() + between + tail
        self._all[-1] = last
        self._tail, self._tail_kept, self._tail_size = [], 0, 0
        return last

    def _trim(self) -> None:
        tail = "".join(self._tail)[-TAIL_CHARACTERS:]
        self._tail, self._tail_kept = [tail], len(tail)

    @property
    def text(self) -> str:
        return "".join(self._all)
