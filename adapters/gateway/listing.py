"""The list of models, by the names that a client may use."""

import json

from adapters.gateway.errors import failure
from adapters.gateway.incoming import Route
from domain.gateway.ports import GRANTED_MODEL
from domain.gateway.wire import WireClient, WireFormat, WireResponse
from domain.runs.failure import ErrorKind, PhaseError

_OWNER = "millwright"
_SINCE = "2025-01-01T00:00:00Z"
"""The format wants a date; ours have none."""


def models(client: WireClient, found: Route) -> WireResponse:
    """All of them, or the one that the path names."""
    owners = {name.partition(":")[2]: name.partition(":")[0] for name in reversed(client.models)}
    names = (*dict.fromkeys(name.partition(":")[2] for name in client.models), GRANTED_MODEL)
    if not found.named:
        return _answer(_anthropic_list(names) if _is_anthropic(found) else _openai_list(names, owners))
    bare = found.named.partition(":")[2] if found.named in client.models else found.named
    if bare not in names:
        error = PhaseError(
            kind=ErrorKind.NOT_FOUND,
            message=f"Model `{found.named}` is not granted to this execution.",
            hint=f"It may use: {', '.join(names)}.",
        )
        return failure(found.format, error)
    return _answer(_anthropic(bare) if _is_anthropic(found) else _openai(bare, owners))


def _is_anthropic(found: Route) -> bool:
    return found.format is WireFormat.ANTHROPIC_MESSAGES


def _openai_list(names: tuple[str, ...], owners: dict[str, str]) -> dict[str, object]:
    """Codex reads `models`, descriptions in a form of its own, and is content without any."""
    return {"object": "list", "data": [_openai(name, owners) for name in names], "models": []}


def _anthropic_list(names: tuple[str, ...]) -> dict[str, object]:
    return {
        "data": [_anthropic(name) for name in names],
        "has_more": False,
        "first_id": names[0],
        "last_id": names[-1],
    }


def _openai(name: str, owners: dict[str, str]) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owners.get(name, _OWNER)}


def _anthropic(name: str) -> dict[str, object]:
    return {"type": "model", "id": name, "display_name": name, "created_at": _SINCE}


def _answer(told: dict[str, object]) -> WireResponse:
    return WireResponse(status=200, headers=(("content-type", "application/json"),), body=json.dumps(told).encode())
