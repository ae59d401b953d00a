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


def first_free(preferred: int, taken: frozenset[int] = frozenset()) -> int:
    """`preferred`, or the next free one above it that is not in `taken` (ports we have already given out)."""
    for port in range(preferred, min(preferred + STEPS, 65_536)):
        if port not in taken and is_free(port):
            return port
    raise OSError(f"no free port between {preferred} and {preferred + STEPS} on {LOOPBACK}")


def any_free() -> int:
    """A free one below the range from which the kernel takes ports for outgoing connections."""
    return first_free(random.randrange(12_000, 31_000))
