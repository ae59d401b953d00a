"""Which `temporal` program: the first that is found wins, and we say which way was taken."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from domain.errors import Unavailable

VERSION = "1.8.2"
"""What is downloaded or built when the machine has none."""


@dataclass(frozen=True)
class TemporalBinary:
    path: Path
    origin: str


def find(bin_folder: Path, *, given: str | None, search_path: str | None) -> TemporalBinary | None:
    """One that is already here: TEMPORAL_CLI, then PATH, then the state folder's `bin/`.

    Raises Unavailable when TEMPORAL_CLI names something that cannot be run.
    """
    if given:
        if found := shutil.which(given, path=search_path):
            return TemporalBinary(Path(found).resolve(), "TEMPORAL_CLI")
        raise Unavailable(f"TEMPORAL_CLI={given} is not a program", hint="correct the variable, or unset it")
    if found := shutil.which("temporal", path=search_path):
        return TemporalBinary(Path(found).resolve(), "PATH")
    if found := shutil.which(str(bin_folder / "temporal")):
        return TemporalBinary(Path(found), "state folder")
    return None
