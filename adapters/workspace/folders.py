"""Removing and opening up folders that commands of a run have filled."""

import os
import shutil
import stat
from pathlib import Path


def remove_folder(folder: Path) -> None:
    """Also what its owner made inaccessible, or replaced by a file or link. Absent is fine."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        try:
            shutil.rmtree(folder)
        except PermissionError:
            make_accessible(folder)
            shutil.rmtree(folder)


def make_accessible(folder: Path) -> None:
    """A test suite may leave files and folders without permissions; git could neither read nor remove them."""
    _open_up(folder)
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            _open_up(Path(parent, name))


def _open_up(path: Path) -> None:
    mode = path.lstat().st_mode
    wanted = mode | (stat.S_IRWXU if stat.S_ISDIR(mode) else stat.S_IRUSR | stat.S_IWUSR)
    if not stat.S_ISLNK(mode) and wanted != mode:
        path.chmod(stat.S_IMODE(wanted))
