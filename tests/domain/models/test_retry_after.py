"""How long providers ask to wait, in all the ways in which they say it."""

import json
from datetime import UTC, datetime

import pytest

from domain.models.retry_after import LONGEST_SECONDS, retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "2026-03-01T12:01:00Z"}, 60.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "9999999"}, LONGEST_SECONDS),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "1", "retry-after-ms": "0"}, 1.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "20ms"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 90)}, 90.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) * 1000 + 1500)}, 1.5),
        (
            {
                "anthropic-ratelimit-tokens-remaining": "0",
                "anthropic-ratelimit-tokens-reset": "2026-03-01T12:00:10Z",
            },
            10.0,
        ),
        ({"retry-after": "3", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"}, 3.0),
    ],
)
def test_headers(headers: dict[str, str], seconds: float | None) -> None:
    found = retry_after(headers, "", NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_the_body_of_google() -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48s"}
    assert retry_after({}, json.dumps({"error": {"details": [{"a": 1}, detail]}}), NOW) == 48.0
    assert retry_after({}, "{retryDelay", NOW) is None
    assert retry_after({}, json.dumps({"retryDelay": 5}), NOW) is None
