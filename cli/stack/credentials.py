"""`credentials.json`: how the command line on this machine reaches the API. Mode 0600, never printed."""

import json
from typing import Any

from cli.stack.state import StateFolder, write_atomically

TAKEN = ("organization", "login", "password", "api_key")
"""Of what the migrations print."""


def keep_credentials(folder: StateFolder, api_url: str, printed: str) -> None:
    """Take over what the migrations printed (key and password only the first time) and the API's present address."""
    known = read_credentials(folder)
    made = next((line for line in map(_object, reversed(printed.splitlines())) if line and "api_key" in line), {})
    fresh = {name: made[name] for name in TAKEN if made.get(name) is not None}
    write_atomically(folder.credentials_file, json.dumps({**known, **fresh, "api_url": api_url}, indent=2))


def read_credentials(folder: StateFolder) -> dict[str, Any]:
    """Empty when there are none yet."""
    try:
        return _object(folder.credentials_file.read_text())
    except FileNotFoundError:
        return {}


def _object(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
