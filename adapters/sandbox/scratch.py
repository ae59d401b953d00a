"""Removal of a command's own folder (HOME and TMPDIR). Standard library only, since the guard starts with it."""

# ruff: noqa: PTH101, PTH106, PTH108, PTH114

import contextlib
import os


def remove_folder(folder: str) -> None:
    """Removes what can be removed, also from folders that the command closed to itself. May be repeated."""
    for parent, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            os.chmod(parent, 0o700)
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files:
            with contextlib.suppress(OSError):
                os.unlink(f"{parent}/{name}")
        for name in folders:
            with contextlib.suppress(OSError):
                path = f"{parent}/{name}"
                os.unlink(path) if os.path.islink(path) else os.rmdir(path)
    with contextlib.suppress(OSError):
        os.rmdir(folder)
