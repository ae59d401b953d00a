"""Two things that a forwarded stream does not show: the provider's key, and usage that the client did not ask for."""

from adapters.gateway.json_edit import members, without
from adapters.gateway.sse import Event

MARK = b"[redacted]"


class KeyHidden:
    """Passes bytes on as they are, but for the key: an end that could begin it is held back until it is clear."""

    def __init__(self, key: str | None) -> None:
        self._key = (key or "").encode()
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        if not self._key:
            return data
        text = (self._held + data).replace(self._key, MARK)
        keep = next(
            (n for n in range(min(len(self._key) - 1, len(text)), 0, -1) if text.endswith(self._key[:n])),
            0,
        )
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> bytes:
        held, self._held = self._held, b""
        return held


def usage_hidden(event: Event) -> bytes:
    """An event of a chat stream as it would be without `include_usage`: the chunk that has only usage is left out, and
    the empty member in the others is cut out; every other byte stays. What cannot be read passes as it is."""
    if b'"usage"' not in event.raw:
        return event.raw
    data = event.data
    try:
        found = {member.name: member.value for member in members(data)}
    except ValueError:
        return event.raw
    if found.get("choices") == [] and found.get("usage"):
        return b""
    if "usage" not in found or found["usage"] is not None:
        return event.raw
    return event.raw.replace(data.encode(), without(data, "usage").encode(), 1)
