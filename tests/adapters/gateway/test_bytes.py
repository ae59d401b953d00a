"""Edits within text, events cut anywhere, and what is hidden: on any input, not only on ours."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.gateway.headers import to_client, to_provider
from adapters.gateway.hiding import KeyHidden, usage_hidden
from adapters.gateway.json_edit import members, with_values, without
from adapters.gateway.sse import Event, Events, event

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(["model", "usage", "choices", "é", 'q"uote']) | st.text(max_size=5), VALUES)
LAYOUTS = st.sampled_from([{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])


@given(OBJECTS, LAYOUTS, st.text(max_size=10))
def test_a_value_is_set_and_every_other_byte_stays(object: dict[str, Any], layout: dict[str, Any], model: str) -> None:
    text = " " + json.dumps(object, **layout) + "\n"
    changed = with_values(text, members(text), {"model": model})
    assert json.loads(changed) == object | {"model": model}
    if "model" in object:
        member = next(member for member in members(text) if member.name == "model")
        assert changed == text[: member.value_start] + json.dumps(model) + text[member.value_end :]


@given(OBJECTS, LAYOUTS)
def test_a_member_is_taken_out(object: dict[str, Any], layout: dict[str, Any]) -> None:
    text = json.dumps(object, **layout)
    left = without(text, "usage")
    assert json.loads(left) == {name: value for name, value in object.items() if name != "usage"}
    if "usage" not in object:
        assert left == text


def test_several_values_are_set_at_once() -> None:
    def changed(text: str) -> str:
        return with_values(text, members(text), {"model": "x", "new": {"a": True}})

    assert changed('{ "stream":true , "model":"a"}') == '{"new":{"a": true}, "stream":true , "model":"x"}'
    assert json.loads(changed(" { } ")) == {"model": "x", "new": {"a": True}}


def test_doubled_and_escaped_names_are_found() -> None:
    text = '{"model": "a", "mod\\u0065l": "b", "n": {"model": "c"}}'
    assert with_values(text, members(text), {"model": "x"}) == '{"model": "x", "mod\\u0065l": "x", "n": {"model": "c"}}'
    assert without('{"a":1,"a":2}', "a") == "{}"


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a"}', '{"a":1,}', '{"a":1} x', '{"a":1 "b":2}', "nul", '{"a":' * 99_999]
)
def test_what_is_no_object_is_no_object(text: str) -> None:
    with pytest.raises(ValueError):
        members(text)


def cuts(body: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(body[at : at + size])
        at += size
    return [*pieces, body[at:]]


PARTS = [b"data: x", b"event: e\ndata: 1\ndata: 2", b": comment", b"data:\r", b"id: 7"]


@given(
    st.lists(st.sampled_from(PARTS), max_size=6),
    st.sampled_from([b"\n\n", b"\r\n\r\n"]),
    st.lists(st.integers(1, 5), max_size=40),
    st.binary(max_size=5).filter(lambda tail: b"\n" not in tail and b"\r" not in tail),
)  # fmt: skip
def test_events_are_the_same_however_they_are_cut(
    parts: list[bytes], end: bytes, sizes: list[int], tail: bytes
) -> None:
    body = b"".join(part + end for part in parts) + tail
    whole, piecewise = Events(), Events()
    expected = whole.feed(body)
    found = [one for piece in cuts(body, sizes) for one in piecewise.feed(piece)]
    assert found == expected and b"".join(one.raw for one in found) + piecewise.rest == body


def test_an_event_is_read_as_the_specification_says() -> None:
    one = Event(b"event:a\ndata: first\ndata:second\n: no\nid: 1\n\n")
    assert (one.name, one.data) == ("a", "first\nsecond")
    assert event("x", "n") == b"event: n\ndata: x\n\n" and event("x") == b"data: x\n\n"


def test_an_event_without_an_end_is_not_kept_for_ever() -> None:
    events = Events()
    with pytest.raises(ValueError, match="longer"):
        for _ in range(40):
            events.feed(b"x" * 1024 * 1024)


@given(st.text("abk-", max_size=30), st.lists(st.integers(1, 4), max_size=30))
def test_a_key_is_hidden_wherever_it_is_cut(text: str, sizes: list[int]) -> None:
    key = "ka-kb"
    body = f"{text}{key}{text}".encode()
    hidden = KeyHidden(key)
    shown = b"".join(hidden.feed(piece) for piece in cuts(body, sizes)) + hidden.flush()
    assert key.encode() not in shown
    assert shown == body.replace(key.encode(), b"[redacted]")
    assert KeyHidden(None).feed(body) == body


def test_nothing_is_held_back_that_cannot_begin_the_key() -> None:
    hidden = KeyHidden("sk-123")
    assert hidden.feed(b"all of this") == b"all of thi" and hidden.feed(b".") == b"s."


def test_usage_that_was_not_asked_for_is_cut_out_and_nothing_else() -> None:
    def shown(data: str) -> str:
        return usage_hidden(Event(f"data: {data}\n\n".encode())).decode()

    assert shown('{"id": 1, "choices": [], "usage": {"prompt_tokens": 1}}') == ""
    assert shown('{"choices": [1], "usage": null, "x":1.0}') == 'data: {"choices": [1], "x":1.0}\n\n'
    for kept in (
        '{"choices": [1], "usage": {"a": 1}}',
        '{"choices": [], "usage": null}x',
        '{"a": "\\"usage\\""}',
        "[DONE]",
    ):
        assert shown(kept) == f"data: {kept}\n\n"


def test_headers_of_a_connection_and_of_an_account_do_not_pass() -> None:
    sent = (
        ("host", "x"), ("connection", "close, X-Private"), ("x-private", "1"), ("te", "trailers"), ("cookie", "a=b"),
        ("authorization", "Bearer x"), ("x-api-key", "k"), ("openai-project", "p"), ("x-forwarded-for", "1.1.1.1"),
        ("x-millwright-role", "judge"), ("content-length", "3"), ("accept-encoding", "gzip"),
        ("anthropic-beta", "a"), ("x-stainless-os", "Linux"), ("accept", "*/*"),
    )  # fmt: skip
    assert to_provider(sent) == (("anthropic-beta", "a"), ("x-stainless-os", "Linux"), ("accept", "*/*"))
    told = (
        ("content-type", "text/event-stream"), ("set-cookie", "a=b"), ("anthropic-organization-id", "o"),
        ("server", "cloud"), ("content-encoding", "gzip"), ("retry-after", "3"), ("request-id", "r"),
    )  # fmt: skip
    assert to_client(told) == (("content-type", "text/event-stream"), ("retry-after", "3"), ("request-id", "r"))
