"""What a command sees under bubblewrap, as the words to put before it.

A new root with the system's programs, the toolchains on the search path, its worktree, its own HOME and /tmp, and what
it was given by name. Everything else is not there: our state folder, other worktrees, other homes, PostgreSQL's files.
"""

# paths are the words of a command line here
# ruff: noqa: PTH112, PTH114, PTH115

import os
from dataclasses import dataclass
from pathlib import Path

from adapters.sandbox.toolchains import SYSTEM, below, prefixes
from domain.sandbox.ports import Command, NetworkAccess

USER = "{user}"
"""In a word: the number of the unprivileged user, which the guard knows."""
ROOT_KEEPS = (
    "chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "net_bind_service", "net_raw",
    "sys_chroot", "mknod", "audit_write", "setfcap",
)  # fmt: skip
"""Where root has no unprivileged user to give: what containers leave to their root, as in the guard."""
DROPPING = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_DAC_READ_SEARCH")
"""What setpriv needs and gives up with the user, and bubblewrap to enter a folder that is that user's alone."""
SHARED_MEMORY_BYTES = 1024**3
NAMESPACES = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
_RESOLVER = "/run/systemd/resolve"
"""Where /etc/resolv.conf points to on many machines."""


@dataclass(frozen=True)
class Places:
    """Paths of this machine that matter."""

    search_path: str
    worktrees: Path | None = None
    """Holds <workspace>/runs/<run>: a command in a folder below one sees that whole worktree."""
    hidden: tuple[Path, ...] = ()
    """Never seen, wherever they lie, but for the worktree in them."""

    def worktree(self, cwd: Path) -> Path:
        if self.worktrees is not None and below(str(cwd), (str(self.worktrees),)):
            parts = cwd.relative_to(self.worktrees).parts
            if len(parts) >= 3:
                return self.worktrees.joinpath(*parts[:3])
        return cwd

    def are_ours(self, folders: tuple[Path, ...]) -> bool:
        """All lie among our worktrees."""
        root = self.worktrees
        return root is not None and all(root in folder.parents and ".." not in folder.parts for folder in folders)

    def refused(self, worktree: Path) -> str | None:
        """Why a command may not have this folder as its own."""
        inside = [*SYSTEM, *map(str, self.hidden)]
        if str(worktree) == "/" or any(below(each, (str(worktree),)) for each in inside):
            return f"{worktree} is no folder to work in: what must stay hidden or unchanged lies in it"
        return None

    def objects(self, worktree: Path) -> Path | None:
        """Of the clone that the worktree's private git borrows from."""
        if self.worktrees is None or not below(str(worktree), (str(self.worktrees),)):
            return None
        return worktree.parent.parent / "repo.git" / "objects"


def words(program: str, drop: str | None, places: Places, command: Command, *, own: Path, home: Path) -> list[str]:
    """`program` is bubblewrap. `drop` is the setpriv that changes to the unprivileged user; None: no change. `own` is
    the command's scratch folder, with `tmp`, and with `passwd` and `group` where the user changes."""
    said = _Words([program, *NAMESPACES, "--die-with-parent", "--new-session"])
    if command.network is NetworkAccess.NONE:
        said.add("--unshare-net")
    if drop is not None:
        said.add("--cap-drop", "ALL")
        for capability in DROPPING:
            said.add("--cap-add", capability)
    elif os.geteuid() == 0:
        said.add("--cap-drop", "ALL")
        for name in ROOT_KEEPS:
            said.add("--cap-add", f"cap_{name}")
    for folder in SYSTEM:
        if os.path.islink(folder):
            said.add("--symlink", os.readlink(folder), folder)
        elif os.path.isdir(folder):
            said.add("--ro-bind", folder, folder)
    if drop is not None:
        said.add("--ro-bind", f"{own}/passwd", "/etc/passwd", "--ro-bind", f"{own}/group", "/etc/group")
    said.add("--ro-bind-try", "/sys", "/sys", "--dev", "/dev", "--proc", "/proc")
    said.add("--size", str(SHARED_MEMORY_BYTES), "--perms", "1777", "--tmpfs", "/dev/shm")
    if command.network is NetworkAccess.SHARED and os.path.isdir(_RESOLVER):
        said.bind("--ro-bind", _RESOLVER)
    said.add("--bind", f"{own}/tmp", "/tmp")
    said.add("--perms", "0755", "--dir", "/var", "--symlink", "/tmp", "/var/tmp")
    toolchains = prefixes(f"{command.env.get('PATH', '')}:{places.search_path}")
    for folder in toolchains:
        said.bind("--ro-bind-try", folder)
    for hidden in places.hidden:
        if below(str(hidden), [*SYSTEM, *toolchains]) and hidden.is_dir():
            said.add("--tmpfs", str(hidden))
    worktree = places.worktree(command.cwd)
    objects = places.objects(worktree)
    if objects is not None:
        said.bind("--ro-bind-try", str(objects))
    seen = [*SYSTEM, *toolchains]
    for given in sorted(map(str, command.readable)):  # a folder comes before what lies in it
        if not below(given, seen):
            seen.append(given)
            said.bind("--ro-bind-try", given)
    said.bind("--bind", str(home))
    said.bind("--bind", str(worktree))
    for socket in command.sockets:
        said.bind("--bind", str(socket))
    said.add("--remount-ro", "/", "--chdir", str(command.cwd), "--")
    if drop is not None:
        said.add(drop, f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")
        said.add("--")
    return said.all


class _Words:
    def __init__(self, first: list[str]) -> None:
        self.all = first
        self._made: set[str] = set()

    def add(self, *words: str) -> None:
        self.all.extend(words)

    def bind(self, how: str, path: str) -> None:
        """At its own path. The folders above are made passable; bubblewrap would close them to other users."""
        for parent in reversed(Path(path).parents):
            if str(parent) not in ("/", "/tmp", *SYSTEM, *self._made):
                self._made.add(str(parent))
                self.add("--perms", "0755", "--dir", str(parent))
        self.add(how, path, path)
