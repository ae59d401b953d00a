"""Bounds wrong passwords: per user name and per address, in this process's memory."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

WINDOW_SECONDS = 300.0
MAX_FAILURES = 5
MAX_KEYS = 10_000
"""Oldest names are forgotten beyond this, so that guessing names cannot hold memory."""


class LoginLimit:
    """`wait_seconds` before a try, `failed` after a wrong password, `passed` after a right one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_seconds(self, *keys: str) -> float:
        """0 when a try is allowed now."""
        now = self._clock()
        return max((self._wait(key, now) for key in keys), default=0.0)

    def _wait(self, key: str, now: float) -> float:
        times = self._failures.get(key)
        if times is None:
            return 0.0
        while times and now - times[0] >= WINDOW_SECONDS:
            times.popleft()
        return times[0] + WINDOW_SECONDS - now if len(times) >= MAX_FAILURES else 0.0

    def failed(self, *keys: str) -> None:
        now = self._clock()
        for key in keys:
            self._failures.setdefault(key, deque(maxlen=MAX_FAILURES)).append(now)
            self._failures.move_to_end(key)
        while len(self._failures) > MAX_KEYS:
            self._failures.popitem(last=False)

    def passed(self, *keys: str) -> None:
        for key in keys:
            self._failures.pop(key, None)
