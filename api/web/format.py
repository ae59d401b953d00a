"""Numbers, money and times as people read them: units always, unknown never as zero (UI.md, Look)."""

from datetime import UTC, datetime
from decimal import Decimal

from markupsafe import Markup, escape


def duration(seconds: float | None) -> str:
    """`340ms`, `12s`, `2m 30s`, `3h 05m`, `2d 4h`."""
    if seconds is None:
        return "unknown"
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours < 24 else f"{hours // 24}d {hours % 24}h"


def count(number: int | None) -> str:
    """`950`, `1.2k`, `3.4M`; `unknown` for None."""
    if number is None:
        return "unknown"
    for limit, divisor, unit in ((1_000, 1, ""), (1_000_000, 1_000, "k"), (1_000_000_000, 1_000_000, "M")):
        if abs(number) < limit:
            return f"{number}" if divisor == 1 else f"{number / divisor:.1f}{unit}"
    return f"{number / 1_000_000_000:.1f}G"


def money(usd: Decimal | None, *, unknown: str = "unpriced") -> str:
    """`$0.0042`, `$1.20`, `$0` for a known nothing; `unpriced` (or `unknown`) for None."""
    if usd is None:
        return unknown
    if usd == 0:
        return "$0"
    if usd >= 1:
        return f"${usd:,.2f}"
    if usd < Decimal("0.000001"):
        return "<$0.000001"
    digits = max(2, min(6, 1 - usd.adjusted()))
    return f"${usd:.{digits}f}"


def size(number: int | None) -> str:
    """Bytes: `812 B`, `4.2 KB`, `1.1 MB`."""
    if number is None:
        return "unknown"
    value = float(number)
    for unit in ("B", "KB", "MB"):
        if value < 1024:
            return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GB"


def clock(moment: datetime) -> str:
    """`2026-03-01 08:04:05 UTC`; the page's script shows it in the reader's zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def ago(moment: datetime, now: datetime) -> str:
    """`just now`, `12s ago`, `5m ago`, `3h ago`, `2d ago`."""
    seconds = int((now - moment).total_seconds())
    if seconds < 5:
        return "just now"
    for limit, divisor, unit in ((60, 1, "s"), (3600, 60, "m"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{seconds // divisor}{unit} ago"
    return f"{seconds // 86_400}d ago"


def short_id(value: object) -> str:
    """The tail of a UUIDv7: its head is the same for a whole minute."""
    return str(value)[-8:]


def ticks(text: str) -> Markup:
    """Text in `backticks` as code; everything is escaped."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )
