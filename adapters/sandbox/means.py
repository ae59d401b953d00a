"""What this machine lets the sandbox do, found once by trying it, and what follows for a command."""

import os
import subprocess
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from shutil import which
from typing import Literal

from adapters.sandbox import users, view
from domain.sandbox.ports import Command, NetworkAccess, Protection

Mode = Literal["auto", "off", "always"]
"""`always`: a command without bubblewrap is refused."""
PROBE_SECONDS = 10.0
_SYSTEM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Means:
    bubblewrap: str | None = None
    """The program; None where it is missing, does not work, or is not wanted."""
    no_bubblewrap: str = ""
    """Why, as a clause."""
    drop: str | None = None
    """The setpriv that changes the user inside bubblewrap."""
    users: tuple[int, int] | None = None
    """First and count of the unprivileged users; None: commands run as our own."""
    no_users: str = ""

    def own_user(self, folders: tuple[Path, ...], ours: bool) -> bool:
        """Whether a command that works in these folders can have a user of its own. `ours`: they lie among our
        worktrees, so they may be given away and taken back."""
        if self.users is None:
            return False
        return self.drop is not None if self.bubblewrap else ours and all(passable(folder) for folder in folders)

    def protection(self, command: Command, folders: tuple[Path, ...], ours: bool) -> Protection:
        own_user, boxed = self.own_user(folders, ours), self.bubblewrap is not None
        gaps: list[str] = []
        if not own_user:
            why = self.no_users or _closed(folders, ours)
            root = os.geteuid() == 0
            gaps.append(
                f"Commands run as root: {why}."
                if root
                else "Commands run as the same user as Millwright; root alone can give them users of their own."
            )
        if not boxed:
            reach = (
                "what everybody may read" if own_user else "whatever Millwright can: its state, other worktrees, homes"
            )
            gaps.append(f"Commands see this machine's files and reach {reach} ({self.no_bubblewrap}).")
            signal = "see" if own_user else "see and can signal"
            gaps.append(f"Commands {signal} the other processes of this machine ({self.no_bubblewrap}).")
        if command.network is NetworkAccess.SHARED:
            gaps.append(
                "Commands share this machine's network, so they can reach ports that ask for no token, such as the "
                "local Temporal's."
            )
        return Protection(
            own_user=own_user,
            own_processes=boxed,
            own_files=boxed,
            own_network=boxed and command.network is NetworkAccess.NONE,
            gaps=tuple(gaps),
        )


def passable(folder: Path) -> bool:
    """Whether another user gets to it: every folder above lets everybody through."""
    try:
        return all(parent.stat().st_mode & 0o001 for parent in folder.parents)
    except OSError:
        return False


def _closed(folders: tuple[Path, ...], ours: bool) -> str:
    if not ours:
        return "the folder they work in is none of ours to give to another user"
    for folder in folders:
        for parent in reversed(folder.parents):
            try:
                if not parent.stat().st_mode & 0o001:
                    return f"no other user can enter {parent}, and bubblewrap, which needs none to, is not in use"
            except OSError:
                break
    return "another user cannot enter the worktree"


@cache
def find(mode: Mode, search_path: str) -> Means:
    """Tries a command as it will be run; some tens of milliseconds, once."""
    span = users.span()
    root = os.geteuid() == 0
    no_users = "" if span or not root else "this system maps no user numbers that could be given to them"
    plain = Means(users=span, no_users=no_users)
    if mode == "off":
        return replace(plain, no_bubblewrap="bubblewrap is turned off here")
    program = which("bwrap", path=f"{search_path}:{_SYSTEM_PATH}")
    if program is None:
        return replace(plain, no_bubblewrap="bubblewrap is not installed")
    boxed = replace(plain, bubblewrap=program)
    if span is not None:
        drop = which("setpriv", path=_SYSTEM_PATH)
        if drop is not None and _works(replace(boxed, drop=drop), search_path) == "":
            return replace(boxed, drop=drop)
        boxed = replace(boxed, no_users="setpriv (of util-linux) is missing" if drop is None else "setpriv fails here")
    trouble = _works(boxed, search_path)
    return boxed if trouble == "" else replace(plain, no_bubblewrap=f"bubblewrap does not work here: {trouble}")


def _works(means: Means, search_path: str) -> str:
    """Empty, or the first line of what it said."""
    assert means.bubblewrap is not None
    with tempfile.TemporaryDirectory(prefix="mw-") as made:
        own = Path(made)
        for folder in ("home", "tmp", "tree"):
            (own / folder).mkdir()
        for name in ("passwd", "group"):
            (own / name).touch()
        probe = Command(argv=("/bin/true",), cwd=own / "tree", time_limit_seconds=1, stall_seconds=1)
        places = view.Places(search_path=search_path)
        words = view.words(means.bubblewrap, means.drop, places, probe, own=own, home=own / "home")
        first = users.FIRST if means.users is None else means.users[0]
        try:
            done = subprocess.run(
                [*(word.replace(view.USER, str(first)) for word in words), "/bin/true"],
                env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return "" if done.returncode == 0 else (said[0] if said else f"exit code {done.returncode}")
