"""Foreign values -> text that is bounded and safe to store. Nothing here raises, whatever the value is."""

import json
import re
from typing import Any

from adapters.sandbox.cleaning import Cleaner
from domain.agents.external import TEXT_LIMIT, TITLE_LIMIT, TOOL_EXCERPT_LIMIT

_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def clean(text: str) -> str:
    """Lone surrogates, NUL and other control characters made harmless (a JSON string may hold them all)."""
    return Cleaner().feed(text.encode("utf-8", "replace"), final=True)


def text_of(value: object) -> str:
    """A string; else "" ."""
    return clean(value) if isinstance(value, str) else ""


def identifier(value: object) -> str:
    """Of a call, bounded."""
    return text_of(value)[:200]


def session(value: object) -> str:
    """An id that may go onto a command line; else "" ."""
    return value if isinstance(value, str) and _SESSION.fullmatch(value) else ""


def long_text(value: object) -> str:
    return _head(text_of(value), TEXT_LIMIT)


def title(value: str) -> str:
    """One line."""
    return _head(" ".join(clean(value).split()), TITLE_LIMIT)


def excerpt(value: object) -> str:
    """The end of what a tool gave back; what is no text is shown as JSON."""
    text = clean(value) if isinstance(value, str) else "" if value is None else dumped(value)
    return text if len(text) <= TOOL_EXCERPT_LIMIT else "…" + text[1 - TOOL_EXCERPT_LIMIT :]


def dumped(value: object) -> str:
    try:
        return clean(json.dumps(value, ensure_ascii=False, default=str))
    except (ValueError, RecursionError):
        return ""


def whole(value: object) -> int | None:
    """A count; None where there is none (never 0 for unknown)."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _head(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
