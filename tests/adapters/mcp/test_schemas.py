from typing import Any

import pytest

from adapters.mcp.schemas import DEEPEST, MOST_CHARACTERS, UnusableSchema, arguments_schema


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def test_a_good_schema_is_shown_as_it_is() -> None:
    schema = {
        "type": "object",
        "properties": {"path": {"type": "string"}, "mode": {"$ref": "#/$defs/Mode"}},
        "required": ["path"],
        "$defs": {"Mode": {"enum": ["r", "w"]}},
    }
    assert arguments_schema(schema) == schema


def test_a_missing_type_and_missing_properties_are_added() -> None:
    assert arguments_schema({}) == {"type": "object", "properties": {}}


def test_choices_at_the_top_are_left_to_the_server() -> None:
    schema = {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}]}}, "anyOf": [{"required": ["a"]}]}
    assert arguments_schema(schema) == {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}]}}}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "string"}, "no object"),
        ({"type": ["object", "null"]}, "no object"),
        ({"properties": []}, "properties"),
        ({"properties": {"a": {"type": "text"}}}, r"not valid at \$\.properties\.a\.type"),
        ({"required": "a"}, "not valid"),
        ({"properties": {"a": {"$ref": "https://example.invalid/schema.json"}}}, "another document"),
        ({"properties": {"a": {"description": "x" * MOST_CHARACTERS}}}, "characters"),
        (nested(DEEPEST), "deeper"),
        (nested(5_000), "deeper"),
    ],
)
def test_what_a_provider_would_refuse_is_not_shown(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(UnusableSchema, match=why):
        arguments_schema(schema)
