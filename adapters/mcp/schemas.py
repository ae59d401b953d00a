"""Which schema of a tool's arguments a model may be shown. A provider refuses a whole call for one bad schema."""

import json
from collections.abc import Iterator
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

MOST_CHARACTERS = 32_000
"""Of one schema as JSON."""
DEEPEST = 32
"""Levels of nesting: far above any real tool, far below Python's own limit."""
_NOT_AT_THE_TOP = ("oneOf", "anyOf", "allOf", "not", "enum", "const", "if", "then", "else", "$ref")
"""Providers refuse these beside `type: object`. The server itself still checks what it is sent."""


class UnusableSchema(ValueError):
    """Why a tool cannot be offered: one clause, without the tool's name."""


def arguments_schema(given: dict[str, Any]) -> dict[str, object]:
    """The schema to show. Raises UnusableSchema."""
    schema = {"type": "object", "properties": {}, **given}
    if schema["type"] != "object":
        raise UnusableSchema("its arguments are no object")
    if not isinstance(schema["properties"], dict):
        raise UnusableSchema("its properties are no object")
    if _depth(schema) > DEEPEST:
        raise UnusableSchema(f"its schema is nested deeper than {DEEPEST} levels")
    text = json.dumps(schema)
    if len(text) > MOST_CHARACTERS:
        raise UnusableSchema(f"its schema has {len(text):,} characters; {MOST_CHARACTERS:,} are taken")
    if any(not reference.startswith("#") for reference in _references(schema)):
        raise UnusableSchema("its schema refers to another document")
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        raise UnusableSchema(f"its schema is not valid at {error.json_path}") from None
    return {name: value for name, value in schema.items() if name not in _NOT_AT_THE_TOP}


def _depth(value: object) -> int:
    """Without recursion, which is what it guards."""
    deepest, level = 0, [value]
    while level and deepest <= DEEPEST:
        deepest += 1
        level = [inner for each in level for inner in _inside(each)]
    return deepest


def _inside(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict) and isinstance(reference := value.get("$ref"), str):
        yield reference
    for inner in _inside(value):
        yield from _references(inner)
