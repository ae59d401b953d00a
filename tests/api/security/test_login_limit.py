"""Wrong passwords are bounded per name and per address, and the memory for it too."""

from api.security.login_limit import MAX_FAILURES, MAX_KEYS, WINDOW_SECONDS, LoginLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_too_many_failures_wait_until_the_window_has_passed() -> None:
    clock = Clock()
    limit = LoginLimit(clock)
    for _ in range(MAX_FAILURES):
        assert limit.wait_seconds("user:a", "address:1") == 0
        limit.failed("user:a", "address:1")
    assert limit.wait_seconds("user:a") == WINDOW_SECONDS
    assert limit.wait_seconds("user:b", "address:1") == WINDOW_SECONDS, "another name from the same address waits too"
    assert limit.wait_seconds("user:b") == 0
    clock.now = WINDOW_SECONDS
    assert limit.wait_seconds("user:a", "address:1") == 0


def test_a_right_password_forgets_the_failures() -> None:
    limit = LoginLimit(Clock())
    for _ in range(MAX_FAILURES):
        limit.failed("user:a")
    limit.passed("user:a")
    assert limit.wait_seconds("user:a") == 0


def test_guessed_names_do_not_fill_memory() -> None:
    limit = LoginLimit(Clock())
    for number in range(MAX_KEYS + 50):
        limit.failed(f"user:{number}")
    assert len(limit._failures) == MAX_KEYS
