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
        shutil.copyfile(log, log.with_suffix(".log.1"))
        with log.open("r+b") as file:
            file.truncate()
