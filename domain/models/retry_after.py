"""How long a provider asks to wait, from its headers or body. Seconds; None where it does not say."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_SECONDS = 86_400.0
"""What is asked for beyond a day is cut to it."""

_RESETS = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("ratelimit-remaining", "ratelimit-reset"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
)
"""(what is left, when it is full again): counts only where nothing is left."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def retry_after(headers: Mapping[str, str], body: str, now: datetime) -> float | None:
    """`headers` with lower-case names; `now` is timezone-aware."""
    said = [
        value
        for value in (
            _milliseconds(headers.get("retry-after-ms")),
            _moment_or_seconds(headers.get("retry-after"), now),
            _in_body(body),
        )
        if value is not None
    ]
    if not said:
        resets = (
            _moment_or_seconds(headers.get(reset), now)
            for remaining, reset in _RESETS
            if headers.get(remaining, "").strip() in {"0", "0.0"}
        )
        said = [value for value in resets if value is not None]
    return min(max(said), LONGEST_SECONDS) if said else None


def _milliseconds(text: str | None) -> float | None:
    number = _number(text)
    return None if number is None else number / 1_000


def _moment_or_seconds(text: str | None, now: datetime) -> float | None:
    """Seconds, a duration (`6m0s`), an HTTP date, an RFC 3339 time, or Unix time in seconds or milliseconds."""
    if not text:
        return None
    number = _number(text)
    if number is not None:
        if number > 1e11:
            number = number / 1_000 - now.timestamp()
        elif number > 1e9:
            number -= now.timestamp()
        return max(0.0, number)
    duration = _duration(text)
    if duration is not None:
        return duration
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text.strip())
        except ValueError:
            continue
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (aware - now).total_seconds())
    return None


def _duration(text: str) -> float | None:
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text.strip())
    if not parts or "".join(n + u for n, u in parts) != text.strip():
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _in_body(body: str) -> float | None:
    """google.rpc.RetryInfo, wherever it lies."""
    if "retryDelay" not in body:
        return None
    try:
        stack: list[object] = [json.loads(body)]
    except (ValueError, RecursionError):
        return None
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            delay = item.get("retryDelay")
            if isinstance(delay, str):
                return _duration(delay)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return None


def _number(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\s*\d{1,15}(\.\d{1,9})?\s*", text) else None
