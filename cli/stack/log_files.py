"""Logs of the stack's processes: they append, we cut."""

import shutil
from pathlib import Path

LARGEST_BYTES = 50_000_000


def size(log: Path) -> int:
    """Bytes; 0 when there is none."""
    return log.stat().st_size if log.exists() else 0


def shrink(log: Path) -> None:
    """Keep one older part beside a log that grew too large. The writer appends, so it goes on at the new end."""
    if size(log) > LARGEST_BYTES:
        older = log.with_suffix(".log.1")
        try:
            shutil.copyfile(log, older)
        except OSError:
            older.unlink(missing_ok=True)  # no room for two: then none of the old part is kept
        with log.open("r+b") as file:
            file.truncate()


def read_from(log: Path, offset: int, most_bytes: int = 10_000_000) -> str:
    """What was written since that place, at most so much; empty when there is no log."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(offset)
        return file.read(most_bytes).decode(errors="replace")
