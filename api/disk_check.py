"""Whether the file system of the state folder has room left."""

import shutil
from pathlib import Path

from api.readiness import Check
from domain.disk_room import LEAST_FREE_BYTES
from domain.errors import Unavailable


def disk_check(folder: Path, least_bytes: int = LEAST_FREE_BYTES) -> Check:
    """Raises Unavailable when less is free where the folder is, or will be made."""

    async def check() -> None:
        place = next(part for part in (folder, *folder.parents) if part.exists())
        free = shutil.disk_usage(place).free
        if free < least_bytes:
            raise Unavailable(
                f"Only {free / 1e6:,.0f} MB are free at {place}; {least_bytes / 1e6:,.0f} MB are needed.",
                hint="Free some. What waits for it goes on by itself.",
            )

    return check
