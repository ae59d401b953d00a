"""The forms in which a secret value turns up in text: as it is, base64, URL-encoded, JSON-escaped, line by line."""

import base64
import json
from urllib.parse import quote, quote_plus

MIN_SECRET = 4
"""Characters. What is shorter would hide half of every text; it is not redacted."""
MIN_LINE = 12
"""A line of a longer secret (a key file) is hidden by itself, too, from this length on: output is often indented."""


class Literal:
    """A form to look for, and the shift by which it can overlap itself (its length, when it cannot)."""

    __slots__ = ("period", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        borders = [0] * len(text)  # Knuth, Morris, Pratt: longest proper prefix that is also a suffix, for each prefix
        for at in range(1, len(text)):
            size = borders[at - 1]
            while size and text[at] != text[size]:
                size = borders[size - 1]
            borders[at] = size + (text[at] == text[size])
        self.period = len(text) - borders[-1]


def forms(value: str) -> set[str]:
    """Every literal to look for. Empty for a value below MIN_SECRET characters."""
    whole = value.strip()
    if len(whole) < MIN_SECRET:
        return set()
    found: set[str] = set()
    for part in {whole, *(line.strip() for line in whole.splitlines())}:
        if part == whole or len(part) >= MIN_LINE:
            found |= {
                part,
                quote(part, safe=""),
                quote(part),
                quote_plus(part),
                json.dumps(part)[1:-1],
                json.dumps(part, ensure_ascii=False)[1:-1],
                json.dumps(part)[1:-1].replace("/", "\\/"),
            }
    for text in {value, whole}:
        found |= _base64_forms(text.encode("utf-8", "surrogatepass"))
    return {form for form in found if len(form) >= MIN_SECRET}


def _base64_forms(data: bytes) -> set[str]:
    """Base64 at each of the three places that the value can take in the encoded bytes (`user:secret` shifts it).

    Characters that also carry bits of a neighbour are left off, so the rest is the same whatever surrounds the value.
    """
    found: set[str] = set()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        first = (shift * 8 + 5) // 6
        last = (shift + len(data)) * 8 // 6
        core = encoded[first:last]
        if len(core) >= MIN_SECRET + 2:
            found |= {core, core.replace("+", "-").replace("/", "_")}
            found |= {quote(core, safe="")}
    return found
