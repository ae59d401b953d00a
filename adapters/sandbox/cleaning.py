"""Any bytes -> text that PostgreSQL stores and a page or terminal shows safely."""

import codecs
import re

KEPT = "\n\t\r\x1b"
_CONTROLS = {code: 0x2400 + code for code in range(0x20) if chr(code) not in KEPT}
_CONTROLS[0x7F] = 0x2421
_CONTROLS |= dict.fromkeys(range(128, 160), 65533)
"""Control characters become their visible pictures (NUL is ␀); C1 controls, which terminals obey, U+FFFD."""

_COLOUR = r"\x1b\[[0-9;:]{0,64}m"
_ESCAPE = re.compile(r"\x1b(?!\[[0-9;:]{0,64}m)")
_UNFINISHED_COLOUR = re.compile(r"\x1b(?:\[[0-9;:]{0,64})?\Z")
_ANY_COLOUR = re.compile(_COLOUR)


class Cleaner:
    """Decodes UTF-8 (what is not becomes U+FFFD) and makes control characters harmless, chunk by chunk.

    Kept: newline, tab, carriage return and colour sequences (ESC [ ... m). Any split of the bytes gives the same text.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, data: bytes, *, final: bool = False) -> str:
        text = self._held + self._decoder.decode(data, final)
        self._held = ""
        if not final and (unfinished := _UNFINISHED_COLOUR.search(text)):
            self._held = unfinished.group()
            text = text[: unfinished.start()]
        text = text.translate(_CONTROLS)
        return _ESCAPE.sub("␛", text) if "\x1b" in text else text


def without_colour(text: str) -> str:
    return _ANY_COLOUR.sub("", text)


class LineTail:
    """The last lines of a text that comes in pieces, as a terminal would show them (what a carriage return
    overwrote is gone), without colours."""

    def __init__(self, lines: int = 5, line_limit: int = 400) -> None:
        self._lines = lines
        self._line_limit = line_limit
        self._done: list[str] = []
        self._open = ""

    def feed(self, text: str) -> None:
        *done, rest = text.rsplit("\n", self._lines + 1) if "\n" in text else [text]
        if done:
            done[0] = (self._open + done[0]).rpartition("\n")[2]
            self._done = (self._done + [self._shown(line) for line in done])[-self._lines :]
            self._open = ""
        # only the end of an endless line is kept, with room for what colours and overwritten parts take
        self._open = (self._open + rest)[-16 * self._line_limit :]

    def _shown(self, line: str) -> str:
        line = without_colour(line.rstrip("\r")).rpartition("\r")[2]
        return line if len(line) <= self._line_limit else line[: self._line_limit] + "…"

    @property
    def text(self) -> str:
        lines = [*self._done, self._shown(self._open)] if self._open else self._done
        return "\n".join(lines[-self._lines :])
