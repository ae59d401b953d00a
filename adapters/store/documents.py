"""Models and messages as JSON that PostgreSQL can hold."""

import json
import re

from pydantic import BaseModel

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""An escaped NUL in JSON text: the one character that jsonb refuses. Text decoded from any bytes may have it."""


def document(model: BaseModel) -> str:
    """JSON of a model, for a jsonb parameter."""
    return storable(model.model_dump_json())


def arguments(**values: object) -> str:
    """JSON object of plain values (text, numbers, lists, UUIDs), for the functions of the protocol."""
    return storable(json.dumps(values, default=str))


def embed(plain: str, **documents: str | None) -> str:
    """`plain` (from `arguments`) with whole JSON documents put in beside, without reading them again."""
    more = "".join(f', "{name}": {text}' for name, text in documents.items() if text is not None)
    return f"{plain[:-1]}{more}}}"


def storable(text: str) -> str:
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text
