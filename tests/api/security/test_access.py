"""Every endpoint x role x own and other organization, generated from OpenAPI: a new route without a line fails."""

import re
from typing import Any
from uuid import UUID

import pytest

from domain.identity.words import Role
from tests.api.recorded import Recorder
from tests.api.served import Served

OPEN = "open"
NEEDS: dict[tuple[str, str], Role | str] = {
    ("post", "/runs"): Role.OPERATOR,
    ("get", "/runs"): Role.VIEWER,
    ("get", "/runs/{run_id}"): Role.VIEWER,
    ("get", "/runs/{run_id}/attempts/{iteration}/{phase}/{attempt}"): Role.VIEWER,
    ("post", "/runs/{run_id}/cancel"): Role.OPERATOR,
    ("get", "/runs/{run_id}/events"): Role.VIEWER,
    ("get", "/runs/{run_id}/artifacts/{sha256}"): Role.VIEWER,
    ("get", "/api/v1/permits"): Role.VIEWER,
    ("get", "/api/v1/pipelines"): Role.VIEWER,
    ("post", "/api/v1/pipelines"): Role.ADMIN,
    ("get", "/api/v1/workspaces"): Role.VIEWER,
    ("get", "/api/v1/workspaces/{name}"): Role.VIEWER,
    ("patch", "/api/v1/workspaces/{name}"): Role.ADMIN,
    ("get", "/metrics"): Role.VIEWER,
    ("get", "/healthz"): OPEN,
    ("get", "/readyz"): OPEN,
}
"""Who may call what. `open` needs no key at all."""
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("post", "/runs"): {"task": "x", "pipeline": "no-such"},
    ("post", "/runs/{run_id}/cancel"): {},
    ("post", "/api/v1/pipelines"): {"yaml": ""},
    ("patch", "/api/v1/workspaces/{name}"): {},
}


def operations(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(method, path) for path, methods in document["paths"].items() for method in methods]


def address(path: str, run_id: UUID) -> str:
    values = {
        "run_id": str(run_id),
        "iteration": "1",
        "phase": "verify",
        "attempt": "1",
        "sha256": "a" * 64,
        "name": "sample",
    }
    return re.sub(r"\{(\w+)\}", lambda match: values[match.group(1)], path)


async def status_of(api: Served, operation: tuple[str, str], run_id: UUID, headers: dict[str, str]) -> int:
    method, path = operation
    request = api.client.build_request(
        method, address(path, run_id), json=BODIES.get(operation), headers=headers, timeout=10
    )
    response = await api.client.send(request, stream=True)
    await response.aclose()
    return response.status_code


async def test_every_operation_has_its_line(api: Served) -> None:
    document = (await api.client.get("/api/v1/openapi.json")).json()
    assert set(operations(document)) == set(NEEDS), "a new route needs its line in NEEDS (and in BODIES for a POST)"


@pytest.mark.parametrize("operation", sorted(NEEDS), ids=lambda operation: f"{operation[0]} {operation[1]}")
async def test_roles_and_organizations(api: Served, recorder: Recorder, operation: tuple[str, str]) -> None:
    opened = await recorder.open_run()
    phase = await opened.begin("verify")
    await phase.passed(exit_code=0)
    await opened.end_verified()
    needed = NEEDS[operation]
    without = await status_of(api, operation, opened.id, {})
    if needed is OPEN:
        assert without in (200, 503)
        return
    assert without == 401
    assert await status_of(api, operation, opened.id, {"Authorization": "Bearer mw_wrong"}) == 401
    for role in Role:
        ours = await status_of(api, operation, opened.id, api.ours.header(role))
        theirs = await status_of(api, operation, opened.id, api.theirs.header(role))
        if not role.allows(Role(needed)):
            assert (ours, theirs) == (403, 403), role
        elif "{run_id}" in operation[1]:
            assert ours != 403 and ours < 500, role
            assert theirs == 404, f"{role} of another organization must not learn that the run exists"
        else:
            assert ours not in (401, 403) and ours < 500, role
