"""Unprivileged users for commands that root starts: one per command, without an entry in passwd. Standard library only.

A user is a number of the range, held by an flock on a file of that name for as long as guard or watcher live; a number
that a process already runs as is left alone, whoever that is.
"""

# pathlib would double the guard's start-up time
# ruff: noqa: PTH103, PTH108, PTH110, PTH116, PTH123, PTH208

import contextlib
import fcntl
import os
import signal
import stat
from collections.abc import Iterator

FIRST, COUNT = 1_900_000_000, 65_536
"""Above what login, system and container ranges use (systemd's list: 1879048192 to 2147483646 is nobody's)."""
SMALL_FIRST, SMALL_COUNT = 64_000, 1_000
"""Where only 65,536 numbers are mapped, as in a container without privileges."""
LOCK_FOLDERS = ("/run/millwright-users", "/var/tmp/millwright-users")
TRIES = 200


def span() -> tuple[int, int] | None:
    """First number and count of the range; None: this process cannot become another user."""
    if os.geteuid() != 0 or not os.path.exists("/proc/self/uid_map"):
        return None
    for first, count in ((FIRST, COUNT), (SMALL_FIRST, SMALL_COUNT)):
        if _mapped("uid", first, count) and _mapped("gid", first, count):
            return first, count
    return None


def _mapped(kind: str, first: int, count: int) -> bool:
    try:
        with open(f"/proc/self/{kind}_map", encoding="ascii") as file:
            lines = [[int(word) for word in line.split()] for line in file]
    except OSError:
        return False
    return any(inside <= first and first + count <= inside + length for inside, _, length in lines)


def take(first: int, count: int) -> tuple[int, int]:
    """A user nobody runs as, and the descriptor that holds it. Raises OSError when there is none."""
    folder = _folder()
    running = users_running()
    for _ in range(TRIES):
        user = first + int.from_bytes(os.urandom(4), "big") % count
        if user in running:
            continue
        lock = os.open(f"{folder}/{user}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return user, lock
    raise OSError(f"no unprivileged user is free between {first} and {first + count - 1}")


def add_to_accounts(folder: str, user: int, home: str) -> None:
    """`passwd` and `group` as the command will see them: programs that ask for the user's name find one."""
    for name, line in (
        ("passwd", f"millwright:x:{user}:{user}:Millwright command:{home}:/bin/sh"),
        ("group", f"millwright:x:{user}:"),
    ):
        with open(f"/etc/{name}", "rb") as file:
            system = file.read()
        with open(f"{folder}/{name}", "wb") as file:
            file.write(system.rstrip(b"\n") + f"\n{line}\n".encode())


def leave(user: int) -> None:
    """Takes the lock's file away, while it is still held."""
    with contextlib.suppress(OSError):
        os.unlink(f"{_folder()}/{user}")


def _folder() -> str:
    for folder in LOCK_FOLDERS:
        with contextlib.suppress(OSError):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            found = os.lstat(folder)
            if found.st_uid == os.geteuid() and found.st_mode & 0o170022 == 0o040000:
                return folder
    raise OSError(f"none of {', '.join(LOCK_FOLDERS)} can be used to hold unprivileged users")


def users_running() -> set[int]:
    """Real users of all processes that we can see."""
    found: set[int] = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                found.add(os.stat(f"/proc/{name}").st_uid)
    return found


def end_all(user: int) -> None:
    """KILLs every process of that user in one stroke of the kernel, which no fork outruns. For a user of the range
    that the caller holds, or that a killed guard held."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            os.kill(-1, signal.SIGKILL)
        os._exit(0)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def end_left(user: int) -> None:
    """Of guards that were both killed; nothing when somebody else has that user now."""
    lock = os.open(f"{_folder()}/{user}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        end_all(user)
        leave(user)
    finally:
        os.close(lock)


def become(user: int) -> None:
    """For good, in the command's process."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def give(folders: list[str], user: int) -> None:
    """Makes all below that user's, and the folders themselves, which must be worktrees of ours. A regular file with
    several names stays ours: another of them may lie outside. Set-user-id bits go by the kernel's rule."""
    for folder in folders:
        for name, at, found in _everything(folder):
            if found.st_uid != user and not (stat.S_ISREG(found.st_mode) and found.st_nlink > 1):
                _own(name, user, at)


def take_back(folders: list[str], user: int) -> None:
    """What is that user's becomes ours again; nobody else's does."""
    for folder in folders:
        for name, at, found in _everything(folder):
            if found.st_uid == user:
                _own(name, os.geteuid(), at)


def _everything(folder: str) -> Iterator[tuple[str, int | None, os.stat_result]]:
    """Never through a link, never into another file system. The folder itself comes last."""
    root = os.stat(folder, follow_symlinks=False)
    for _, names, files, at in os.fwalk(folder, follow_symlinks=False):
        for name in (*names, *files):
            with contextlib.suppress(OSError):
                found = os.stat(name, dir_fd=at, follow_symlinks=False)
                if found.st_dev == root.st_dev:
                    yield name, at, found
                elif name in names:
                    names.remove(name)
    yield folder, None, root


def _own(name: str, user: int, at: int | None) -> None:
    with contextlib.suppress(OSError):
        os.chown(name, user, user, dir_fd=at, follow_symlinks=False)
