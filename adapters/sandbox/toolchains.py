"""Which folders the programs on a search path need, beyond the system's: their own prefix and what their links lead to.

A prefix is bound whole where it is one (a virtual environment, an installation); of a folder that holds other things
too, such as ~/.local, only its `bin` and `lib` folders.
"""

# paths are the words of a command line here, and pathlib would follow or tidy what must stay as it is written
# ruff: noqa: PTH110, PTH112, PTH114, PTH115, PTH118, PTH119, PTH120

import os
import sys
from functools import cache
from pathlib import Path

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/gnu", "/snap")
"""Readable for everybody on an ordinary machine, and of no use to hide: programs, their libraries, configuration."""
_PROGRAMS = ("bin", "sbin", "shims")
_PARTS = ("lib", "lib32", "lib64", "libexec", "include")
_SIGNS = (*_PARTS, "versions", "pyvenv.cfg")
_HOME_SIGNS = (".ssh", ".bashrc", ".profile", ".config", ".gnupg", "share/keyrings")


def below(path: str, folders: tuple[str, ...] | list[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


@cache
def prefixes(search_path: str) -> tuple[str, ...]:
    """Absolute folders, none below another or below SYSTEM."""
    waiting = [*search_path.split(":"), str(Path(sys.executable).parent)]
    seen: set[str] = set()
    found: list[str] = []
    while waiting:
        folder = waiting.pop()
        if not folder.startswith("/") or folder in seen or below(folder, SYSTEM) or not os.path.isdir(folder):
            continue
        seen.add(folder)
        found.extend(_prefix(folder))
        waiting.append(os.path.realpath(folder))
        waiting.extend(_led_to(folder))
    return tuple(one for one in sorted(set(found)) if not below(one, [other for other in found if other != one]))


def _prefix(folder: str) -> list[str]:
    parent, name = os.path.split(folder.rstrip("/"))
    if name not in _PROGRAMS or not any(os.path.exists(f"{parent}/{sign}") for sign in _SIGNS):
        return [folder]
    if any(os.path.exists(f"{parent}/{sign}") for sign in _HOME_SIGNS) or os.path.basename(parent) == ".local":
        return [folder, *(f"{parent}/{part}" for part in _PARTS if os.path.isdir(f"{parent}/{part}"))]
    return [parent]


def _led_to(folder: str) -> set[str]:
    """Folders of the programs that links in `folder` name, at every hop."""
    hops: set[str] = set()
    try:
        entries = [entry.path for entry in os.scandir(folder) if entry.is_symlink()]
    except OSError:
        return hops
    for path in entries:
        for _ in range(10):
            if not os.path.islink(path):
                break
            path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
            hops.add(os.path.dirname(path))
    return hops
