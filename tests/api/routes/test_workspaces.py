"""A workspace's servers of tools: set by an admin, checked, shown with references and never with secrets."""

from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from domain.identity.words import Role
from tests.api.served import Served

SERVERS: list[dict[str, Any]] = [
    {"name": "docs", "command": ["docs-server", "--stdio"], "env": {"API_KEY": "env:DOCS_KEY"}, "unsafe": False},
    {"name": "tickets", "url": "http://127.0.0.1:9000/mcp", "headers": {"Authorization": "Bearer env:TICKETS"}},
]


async def started(api: Served, repository: Path) -> str:
    """The name of the workspace that a start made."""
    body = {"task": "x", "repo": str(repository), "settings": {"test_command": "true", "model": "scripted:demo"}}
    answer = await api.client.post("/runs", json=body, headers=api.ours.header())
    assert answer.status_code == 202, answer.text
    [known] = (await api.client.get("/api/v1/workspaces", headers=api.ours.header())).json()
    return str(known["name"])


async def change(api: Served, name: str, servers: Any, role: Role = Role.ADMIN) -> Response:
    return await api.client.patch(
        f"/api/v1/workspaces/{name}", json={"mcp_servers": servers}, headers=api.ours.header(role)
    )


async def test_servers_are_set_shown_and_taken_away(api: Served, repository: Path) -> None:
    name = await started(api, repository)
    changed = await change(api, name, SERVERS)
    assert changed.status_code == 200, changed.text
    shown = await api.client.get(f"/api/v1/workspaces/{name}", headers=api.ours.header(Role.VIEWER))
    assert shown.json() == changed.json()
    docs, tickets = shown.json()["mcp_servers"]
    assert docs["command"] == ["docs-server", "--stdio"] and docs["unsafe"] is False
    assert tickets["headers"] == {"Authorization": "Bearer env:TICKETS"} and tickets["unsafe"] is True
    by_id = await api.client.get(f"/api/v1/workspaces/{shown.json()['workspace_id']}", headers=api.ours.header())
    assert by_id.json() == shown.json()
    untouched = await api.client.patch(f"/api/v1/workspaces/{name}", json={}, headers=api.ours.header(Role.ADMIN))
    assert untouched.json() == shown.json()
    assert (await change(api, name, [])).json()["mcp_servers"] == []


async def test_models_are_set_beside_the_rest_and_judged_by_the_policy(api: Served, repository: Path) -> None:
    name = await started(api, repository)
    path, admin = f"/api/v1/workspaces/{name}", api.ours.header(Role.ADMIN)
    assert (await change(api, name, SERVERS)).status_code == 200
    chosen = {"context": "scripted:demo", "default": "scripted:other"}
    changed = await api.client.patch(path, json={"models": chosen}, headers=admin)
    assert changed.status_code == 200, changed.text
    shown = (await api.client.get(path, headers=api.ours.header(Role.VIEWER))).json()
    assert shown == changed.json() and shown["models"] == chosen and len(shown["mcp_servers"]) == 2
    refused = await api.client.patch(path, json={"models": {"coder": "gone:big-1"}}, headers=admin)
    assert refused.status_code == 403 and refused.json()["field"] == "models.coder"
    assert "`gone:big-1`" in refused.json()["detail"]
    nameless = await api.client.patch(path, json={"models": {"coder": "big-1"}}, headers=admin)
    assert nameless.status_code == 422
    viewer = await api.client.patch(path, json={"models": {}}, headers=api.ours.header(Role.OPERATOR))
    assert viewer.status_code == 403
    both = await api.client.patch(path, json={"models": {}, "mcp_servers": []}, headers=admin)
    assert (both.json()["models"], both.json()["mcp_servers"]) == ({}, [])


@pytest.mark.parametrize(
    ("server", "field"),
    [
        ({"name": "a", "command": ["x"], "url": "http://127.0.0.1/"}, "mcp_servers.0"),
        ({"name": "a"}, "mcp_servers.0"),
        ({"name": "A b", "command": ["x"]}, "mcp_servers.0.name"),
        ({"name": "a", "command": ["x"], "args": ["y"]}, "mcp_servers.0.args"),
        ({"name": "a", "command": []}, "mcp_servers.0.command"),
        ({"name": "a", "url": "ftp://127.0.0.1/"}, "mcp_servers.0.url"),
        ({"name": "a", "command": ["x"], "env": {"GITHUB_TOKEN": "ghp_very_secret"}}, "mcp_servers.0.env.GITHUB_TOKEN"),
    ],
)
async def test_what_is_wrong_is_refused_by_field_and_never_repeated(
    api: Served, repository: Path, server: dict[str, Any], field: str
) -> None:
    name = await started(api, repository)
    refused = await change(api, name, [server])
    assert refused.status_code == 422, refused.text
    assert refused.json()["field"].removeprefix("body.") == field
    assert "ghp_very_secret" not in refused.text
    shown = await api.client.get(f"/api/v1/workspaces/{name}", headers=api.ours.header())
    assert shown.json()["mcp_servers"] == []


async def test_only_an_admin_of_the_organization_may_set_commands_that_workers_run(
    api: Served, repository: Path
) -> None:
    name = await started(api, repository)
    assert (await change(api, name, SERVERS, Role.OPERATOR)).status_code == 403
    theirs = await api.client.patch(
        f"/api/v1/workspaces/{name}", json={"mcp_servers": SERVERS}, headers=api.theirs.header(Role.ADMIN)
    )
    assert theirs.status_code == 404
    assert (await change(api, "nobody", SERVERS)).status_code == 404
    assert (await api.client.get(f"/api/v1/workspaces/{name}", headers=api.theirs.header())).status_code == 404
