"""Edits of a JSON object's own members within its text: every other byte stays as it came."""

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")


class Member(NamedTuple):
    name: str
    start: int
    """Of its name."""
    value_start: int
    value_end: int
    value: object


def members(text: str) -> list[Member]:
    """Of the object that `text` is, in their order, doubled ones included. Raises ValueError where it is none (also
    when it lies too deep to be read)."""
    try:
        return _members(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _members(text: str) -> list[Member]:
    found: list[Member] = []
    at = _expect(text, _skip(text, 0), "{")
    if text[at : at + 1] == "}":
        return _at_end(text, at + 1, found)
    while True:
        start = at
        if text[at : at + 1] != '"':
            raise ValueError(f"a member's name is missing at character {at}")
        name, at = _DECODER.raw_decode(text, at)
        value_start = _expect(text, _skip(text, at), ":")
        value, value_end = _DECODER.raw_decode(text, value_start)
        found.append(Member(name, start, value_start, value_end, value))
        at = _skip(text, value_end)
        if text[at : at + 1] == "}":
            return _at_end(text, at + 1, found)
        at = _expect(text, at, ",")


def with_values(text: str, found: list[Member], values: Mapping[str, object]) -> str:
    """`text`, whose members are `found`, with every member named in `values` set so; put first where there is none."""
    for member in reversed(found):
        if member.name in values:
            text = text[: member.value_start] + json.dumps(values[member.name]) + text[member.value_end :]
    known = {member.name for member in found}
    new = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in values.items() if name not in known]
    at = text.index("{") + 1
    return text[:at] + ",".join([*new, ""] if found else new) + text[at:] if new else text


def without(text: str, name: str) -> str:
    """`text` without its member `name`, and without the comma that parted it from its neighbour."""
    while True:
        found = members(text)
        position = next((at for at, member in enumerate(found) if member.name == name), None)
        if position is None:
            return text
        member = found[position]
        if position:
            text = text[: found[position - 1].value_end] + text[member.value_end :]
        else:
            text = text[: member.start] + text[found[1].start if len(found) > 1 else member.value_end :]


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _expect(text: str, at: int, mark: str) -> int:
    if text[at : at + 1] != mark:
        raise ValueError(f"`{mark}` is missing at character {at}")
    return _skip(text, at + 1)


def _at_end(text: str, at: int, found: list[Member]) -> list[Member]:
    if _skip(text, at) != len(text):
        raise ValueError(f"there is more after the object, at character {at}")
    return found
