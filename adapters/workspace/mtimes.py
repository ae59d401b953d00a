"""A file that changes gets a later second as its time.

Python (and make) take what they built from a file as still good when its time, in whole seconds, and its size are the
same. A fix of equal length that is written within the second would be judged by the bytecode of the broken version.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def later(old: os.stat_result, new: os.stat_result) -> tuple[int, int] | None:
    """Access and modification time for the new file, in nanoseconds; None: it is later already."""
    if int(new.st_mtime) > int(old.st_mtime):
        return None
    return new.st_atime_ns, (int(old.st_mtime) + 1) * 10**9


@contextlib.contextmanager
def moved_on(folder: Path, names: Iterable[str]) -> Iterator[None]:
    """Whatever is done to these files inside, those that changed are later afterwards."""
    before = {name: found for name in names if (found := _stat(folder / name)) is not None}
    yield
    for name, old in before.items():
        new = _stat(folder / name)
        if new is not None and (new.st_ino, new.st_mtime_ns) != (old.st_ino, old.st_mtime_ns):
            times = later(old, new)
            if times is not None:
                os.utime(folder / name, ns=times, follow_symlinks=False)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None
