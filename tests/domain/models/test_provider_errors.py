"""The error table: codes before text before status, and each line of it."""

import json
from datetime import UTC, datetime

import pytest

from domain.models.provider_errors import _CODES, _STATUS, _TEXTS, HINTS, classify
from domain.models.retry_after import retry_after
from domain.runs.failure import ErrorKind


def _kind(status: int, body: object, **headers: str) -> ErrorKind:
    text = body if isinstance(body, str) else json.dumps(body)
    shape = classify(status, {name.replace("_", "-"): value for name, value in headers.items()}, text)
    assert shape is not None
    return shape.kind


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in _CODES.items() for code in sorted(codes)])
def test_a_code_decides_wherever_it_lies_and_however_it_is_written(kind: ErrorKind, code: str) -> None:
    camel = "".join(part.title() for part in code.split("_"))
    for spelled in (code, camel, code.upper(), code.replace("_", "-")):
        assert _kind(400, {"error": {"code": spelled, "message": "m"}}) is kind
    assert _kind(400, {"type": "error", "error": {"type": code}}) is kind
    assert _kind(400, {"code": code}) is kind
    assert _kind(400, {"error": {"code": 400, "innererror": {"code": code}}}) is kind
    assert _kind(400, {"error": {"details": [{"reason": code}]}}) is kind
    assert _kind(400, [{"error": {"status": code}}]) is kind
    assert _kind(400, {}, x_amzn_errortype=f"{camel}:http://x") is kind


TEXTS = {
    ErrorKind.QUOTA_EXHAUSTED: ["Your credit balance is too low", "You exceeded your current quota", "billing limit"],
    ErrorKind.CONTEXT_LENGTH: ["maximum context length is 8192", "prompt is too long: 3 > 2", "too many input tokens"],
    ErrorKind.CONTENT_FILTERED: ["violates our content policy", "rejected by our safety system", "flagged as harmful"],
    ErrorKind.AUTHENTICATION: ["Invalid API key", "API key not valid", "The security token included is invalid"],
    ErrorKind.PERMISSION: ["User location is not supported", "You do not have access to it"],
    ErrorKind.NOT_FOUND: ["The model `x` does not exist", "x/y is not a valid model ID", "deployment x not found"],
    ErrorKind.RATE_LIMITED: ["Rate limit reached", "too many requests"],
    ErrorKind.OVERLOADED: ["The model is overloaded", "we are at capacity", "Server is busy"],
}


def test_every_line_of_the_text_table_has_its_test() -> None:
    assert {kind for _, _, kind in _TEXTS} == set(TEXTS)


@pytest.mark.parametrize(("statuses", "kind"), [(statuses, kind) for statuses, _, kind in _TEXTS])
def test_text_decides_where_there_is_no_code(statuses: frozenset[int], kind: ErrorKind) -> None:
    for status in statuses:
        for text in TEXTS[kind]:
            assert _kind(status, {"error": {"message": text}}) is kind, (status, text)
            assert _kind(status, {"message": text}) is kind
            assert _kind(status, {"detail": text}) is kind
            assert _kind(status, f"<html><b>{text}</b></html>") is kind
    other = {"error": {"message": "something else"}}
    assert all(_kind(status, other) is _STATUS.get(status, _by_class(status)) for status in statuses)


def _by_class(status: int) -> ErrorKind:
    return ErrorKind.SERVER_ERROR if status >= 500 else ErrorKind.INVALID_REQUEST


@pytest.mark.parametrize("body", ["", "gibberish", "{}", "[]", "null", '"text"', '{"error": null}', '{"error": 5}'])
def test_an_unknown_shape_gets_the_safe_kind_of_its_status(body: str) -> None:
    for status in range(400, 600):
        assert _kind(status, body) is _STATUS.get(status, _by_class(status))


def test_a_generic_server_code_does_not_hide_the_status() -> None:
    assert _kind(429, {"error": {"type": "api_error", "message": "m"}}) is ErrorKind.RATE_LIMITED
    assert _kind(503, {"error": {"type": "server_error"}}) is ErrorKind.OVERLOADED
    assert _kind(500, {"error": {"type": "api_error", "message": "rate limit"}}) is ErrorKind.SERVER_ERROR


def test_an_upstream_behind_a_router_is_heard() -> None:
    body = {"error": {"code": 400, "message": "Provider returned error", "metadata": {"raw": "prompt is too long"}}}
    assert _kind(400, body) is ErrorKind.CONTEXT_LENGTH


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"code": 429, "message": "m"}}, ErrorKind.RATE_LIMITED),
        ({"error": {"code": "insufficient_quota", "message": "m"}}, ErrorKind.QUOTA_EXHAUSTED),
        ({"error": "no luck"}, ErrorKind.SERVER_ERROR),
        ({"choices": [{"error": {"code": 502, "message": "m"}}]}, ErrorKind.SERVER_ERROR),
        ("{not json", ErrorKind.MALFORMED_RESPONSE),
    ],
)
def test_a_success_that_carries_an_error_is_one(body: object, kind: ErrorKind) -> None:
    assert _kind(200, body) is kind


@pytest.mark.parametrize("body", [{"choices": []}, {"error": None, "choices": [{"index": 0}]}, {"a": 1}, [1]])
def test_a_success_is_no_error(body: object) -> None:
    assert classify(200, {}, json.dumps(body)) is None


def test_a_redirect_is_not_followed_and_named() -> None:
    shape = classify(307, {"location": "https://elsewhere.example"}, "")
    assert shape is not None and shape.kind is ErrorKind.INVALID_REQUEST and "elsewhere.example" in shape.text


def test_hostile_bodies_are_read_in_bounded_time() -> None:
    for depth in (900, 100_000):
        deep = '{"error": ' * depth + "1" + "}" * depth
        assert _kind(400, deep) is ErrorKind.INVALID_REQUEST
        assert retry_after({}, deep.replace("1", '{"retryDelay": 5}'), datetime.now(UTC)) is None
    assert _kind(400, {"error": {"message": "model " * 200_000}}) is ErrorKind.INVALID_REQUEST
    assert _kind(500, "<" * 2_000_000) is ErrorKind.SERVER_ERROR
    assert len((classify(500, {}, json.dumps({"message": "x" * 10_000})) or pytest.fail("no error")).text) <= 500


def test_every_kind_that_the_table_gives_has_a_hint() -> None:
    given = set(_CODES) | set(_STATUS.values()) | {kind for _, _, kind in _TEXTS}
    assert given | {ErrorKind.SERVER_ERROR, ErrorKind.INVALID_REQUEST, ErrorKind.MALFORMED_RESPONSE} <= set(HINTS)
