"""What a server lists, as it is offered to a model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

import mcp_types

from adapters.mcp.names import offered_name
from adapters.mcp.schemas import UnusableSchema, arguments_schema
from domain.models.messages import ToolSpec
from domain.redaction import Redactor

MOST_DESCRIPTION = 2_000
"""Characters of one tool's description."""


@dataclass(frozen=True)
class Offer:
    specs: tuple[ToolSpec, ...] = ()
    original: Mapping[str, str] = field(default_factory=dict)
    """Name offered -> the server's own."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """The server's own name -> why it is not offered."""

    @classmethod
    def of(cls, server: str, tools: Iterable[mcp_types.Tool], redactor: Redactor) -> Self:
        """Each name once, in the server's order."""
        specs: dict[str, ToolSpec] = {}
        original: dict[str, str] = {}
        left_out: dict[str, str] = {}
        for tool in tools:
            name = offered_name(server, tool.name)
            if name in specs:
                continue
            try:
                schema = arguments_schema(tool.input_schema)
            except UnusableSchema as why:
                left_out[tool.name[:200]] = str(why)
                continue
            described = redactor.redact(tool.description or tool.title or tool.name).strip()
            if len(described) > MOST_DESCRIPTION:
                described = described[:MOST_DESCRIPTION] + "…"
            specs[name] = ToolSpec(name=name, description=described, parameters=schema)
            original[name] = tool.name
        return cls(tuple(specs.values()), original, left_out)
