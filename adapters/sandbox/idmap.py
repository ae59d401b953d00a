"""Shows our folders to another user as its own: idmapped mounts in a mount namespace of our own (Linux 5.12 and newer).

What the command creates belongs to us on disk, so nothing is given away and back, and git's index stays valid. Standard
library only: the guard loads this before the command starts.
"""

import ctypes
import os
import signal

_CLONE_NEWNS = 0x0002_0000
_CLONE_NEWUSER = 0x1000_0000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
"""Numbers of system calls, the same on every architecture that has them."""
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_IDMAP = 0x0010_0000


class _MountAttributes(ctypes.Structure):
    _fields_ = [
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    ]


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def own_mounts() -> None:
    """This process and its children see mounts that nobody else sees. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.unshare(_CLONE_NEWNS), "unshare")
    _checked(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount")


def show_as(user: int, folders: list[str]) -> None:
    """Mounts each folder over itself, with our files (and group) as that user's. After `own_mounts`. Raises OSError
    where kernel or file system cannot; then nothing is mounted."""
    libc = ctypes.CDLL(None, use_errno=True)
    namespace = _user_namespace(user)
    trees: list[int] = []
    try:
        for folder in folders:
            tree = _checked(
                libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(folder), _OPEN_TREE_CLONE | os.O_CLOEXEC), "open_tree"
            )
            trees.append(tree)
            wanted = _MountAttributes(set=_MOUNT_ATTR_IDMAP, user_namespace=namespace)
            _checked(
                libc.syscall(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(wanted), ctypes.sizeof(wanted)),
                "mount_setattr",
            )
        for tree, folder in zip(trees, folders, strict=True):
            _checked(
                libc.syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(folder), _MOVE_MOUNT_F_EMPTY_PATH),
                "move_mount",
            )
    finally:
        for number in (*trees, namespace):
            os.close(number)


def _user_namespace(user: int) -> int:
    """Descriptor of a namespace that maps our user and group to that number; it needs no process to live."""
    ready_in, ready_out = os.pipe()
    pid = os.fork()
    if pid == 0:
        done = ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER)
        os.write(ready_out, b"y" if done == 0 else b"n")
        signal.pause()
        os._exit(0)
    try:
        os.close(ready_out)
        if os.read(ready_in, 1) != b"y":
            raise OSError("no user namespace can be made here")
        for kind in ("uid", "gid"):
            mapping = os.open(f"/proc/{pid}/{kind}_map", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(mapping, f"0 {user} 1".encode())
            finally:
                os.close(mapping)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready_in)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
