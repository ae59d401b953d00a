"""Loopback ports: the usual one when it is free, else the next one that is."""

import random
import socket

LOOPBACK = "127.0.0.1"
STEPS = 200


def is_free(port: int) -> bool:
    """Whether a server could bind the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def accepts(port: int, host: str = LOOPBACK) -> bool:
    """Whether somebody listens there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


class Reservations:
    """Ports given out but not yet listened on, held against other stacks that look for ports at the same moment.

    The lock is the UDP port of the same number, which nobody here uses: the kernel gives it up when we die.
    """

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def hold(self, port: int) -> bool:
        """False when another stack (or this one, for another purpose) holds it."""
        if port in self._held:
            return False
        lock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            lock.bind((LOOPBACK, port))
        except OSError:
            lock.close()
            return False
        self._held[port] = lock
        return True

    def first_free(self, preferred: int) -> int:
        """`preferred`, or the next port above it that is free and not held; it is held from now on."""
        port = preferred
        while not self.hold(port := first_free(port)):
            port += 1
        return port

    def close(self) -> None:
        for lock in self._held.values():
            lock.close()
        self._held.clear()


def first_free(preferred: int) -> int:
    """`preferred`, or the next free one above it."""
    for port in range(preferred, min(preferred + STEPS, 65_536)):
        if is_free(port):
            return port
    raise OSError(f"no free port between {preferred} and {preferred + STEPS} on {LOOPBACK}")


def any_free() -> int:
    """A free one below the range from which the kernel takes ports for outgoing connections."""
    return first_free(random.randrange(12_000, 31_000))
