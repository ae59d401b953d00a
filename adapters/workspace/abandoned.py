"""What a git that was killed, or found the disk full, leaves of objects that it was writing."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

SECOND_LOOK_SECONDS = 0.2
"""A git that is alive closes such a file an instant before it gives it its name."""


def remove_abandoned(git_dir: Path) -> None:
    """Removes half-written packs and objects that no process has open. Git itself would keep them for two weeks."""
    found = _abandoned(git_dir)
    if found:
        time.sleep(SECOND_LOOK_SECONDS)
        for path in found & _abandoned(git_dir):
            path.unlink(missing_ok=True)


def _abandoned(git_dir: Path) -> set[Path]:
    written = {path.resolve() for path in (git_dir / "objects").glob("*/tmp_*") if path.is_file()}
    return written - set(_open_files()) if written else written


def _open_files() -> Iterator[Path]:
    """Of every process that we may look at; ours is always among them."""
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):
            for link in folder.iterdir():
                with suppress(OSError):
                    yield link.readlink()
