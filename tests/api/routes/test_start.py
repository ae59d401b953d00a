"""POST /runs: recorded or refused at once, with the field named and the way out."""

from pathlib import Path
from typing import Any

import pytest

from domain.identity.words import Role
from tests.api.served import Served


def body(repository: Path, **more: Any) -> dict[str, Any]:
    return {
        "task": "Mend the adder",
        "repo": str(repository),
        "settings": {"test_command": "python -m pytest -q", "model": "scripted:demo"},
        **more,
    }


async def test_a_start_is_recorded_and_can_be_read(api: Served, repository: Path) -> None:
    answer = await api.client.post("/runs", json=body(repository), headers=api.ours.header())
    assert answer.status_code == 202, answer.text
    accepted = answer.json()
    assert answer.headers["location"] == f"/runs/{accepted['run_id']}"
    assert accepted["page"] == f"/ui/runs/{accepted['run_id']}"
    shown = (await api.client.get(f"/runs/{accepted['run_id']}", headers=api.ours.header(Role.VIEWER))).json()
    assert (shown["status"], shown["title"], shown["actor"]) == ("QUEUED", "Mend the adder", "key:operator")
    assert shown["model"] == "scripted:demo"
    assert [request["kind"] for request in shown["requests"]] == ["start"]
    listed = (await api.client.get("/runs", headers=api.ours.header(Role.VIEWER))).json()
    assert [run["id"] for run in listed["runs"]] == [accepted["run_id"]]
    assert listed["total"] == 1


async def test_a_dirty_checkout_is_said_and_not_refused(api: Served, repository: Path) -> None:
    (repository / "adder.py").write_text("changed\n")
    answer = await api.client.post("/runs", json=body(repository), headers=api.ours.header())
    assert answer.status_code == 202
    assert answer.json()["warnings"]


async def test_one_key_is_one_run(api: Served, repository: Path) -> None:
    headers = {**api.ours.header(), "Idempotency-Key": "ci-17"}
    first = (await api.client.post("/runs", json=body(repository), headers=headers)).json()
    second = (await api.client.post("/runs", json=body(repository), headers=headers)).json()
    assert second["run_id"] == first["run_id"]
    assert (first["repeated"], second["repeated"]) == (False, True)
    other = await api.client.post("/runs", json=body(repository, task="Another"), headers=headers)
    assert other.status_code == 409
    assert other.json()["field"] == "Idempotency-Key"
    assert (await api.client.get("/runs", headers=api.ours.header())).json()["total"] == 1


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"repo": "/no/such/folder"}, "repo", "/no/such/folder"),
        ({"repo": "relative"}, "repo", "absolute"),
        ({"repo": "/tmp/a\x00b"}, "repo", "U+0000"),
        ({"repo": None}, "repo", "repository"),
        ({"repo": None, "workspace": "nobody"}, "workspace", "nobody"),
        ({"pipeline": "no-such"}, "pipeline", "code-change"),
        ({"pipeline": "no-such"}, "pipeline", "--pipeline FILE.yaml"),
        ({"settings": {"model": "scripted:demo"}}, "settings.test_command", "--test-command"),
        ({"task": ""}, "task.change", "character"),
        ({"task": None}, "task", "task"),
        ({"task": "bell \x07"}, "task.change", "U+0007"),
        ({"resume": "0190b5b0-0000-7000-8000-000000000000"}, "resume", "task"),
        ({"unknown_field": 1}, "unknown_field", "not permitted"),
        ({"pipeline_yaml": "name: [broken"}, "pipeline_yaml", "pipeline.yaml:1"),
    ],
)
async def test_what_is_wrong_is_named_with_the_way_out(
    api: Served, repository: Path, change: dict[str, Any], field: str, says: str
) -> None:
    answer = await api.client.post("/runs", json=body(repository) | change, headers=api.ours.header())
    problem = answer.json()
    assert answer.status_code == 422, problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["field"] == field, problem
    assert says in problem["detail"] + problem["hint"], problem
    assert problem["hint"], "the way out"
    assert (await api.client.get("/runs", headers=api.ours.header())).json()["total"] == 0, "nothing half-made stays"


@pytest.mark.parametrize(
    ("settings", "field", "says"),
    [
        ({"model": "gone:x", "test_command": "true"}, "settings.model", "scripted"),
        ({"models": {"coder": "gone:x"}, "test_command": "true"}, "settings.models.coder", "gone"),
    ],
)
async def test_a_model_outside_the_policy_is_refused_as_that(
    api: Served, repository: Path, settings: dict[str, Any], field: str, says: str
) -> None:
    answer = await api.client.post("/runs", json=body(repository, settings=settings), headers=api.ours.header())
    assert answer.status_code == 403, answer.json()
    assert answer.json()["field"] == field
    assert says in answer.json()["detail"] + answer.json()["hint"]
    assert (await api.client.get("/runs", headers=api.ours.header())).json()["total"] == 0, "nothing half-made stays"


@pytest.mark.parametrize("content", [b'{"task": ', b"\xff", b"no json"])
async def test_a_body_that_is_no_json_is_said_as_that(api: Served, content: bytes) -> None:
    headers = {**api.ours.header(), "Content-Type": "application/json"}
    answer = await api.client.post("/runs", content=content, headers=headers)
    problem = answer.json()
    assert answer.status_code in (400, 422)
    assert problem["field"] in ("body", None)
    assert problem["hint"]


async def test_a_folder_that_is_no_repository_is_refused(api: Served, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    answer = await api.client.post("/runs", json=body(tmp_path / "plain"), headers=api.ours.header())
    assert answer.status_code == 422
    assert answer.json()["field"] == "repo"
    assert "git init" in answer.json()["hint"]


async def test_a_pipeline_can_come_with_the_run(api: Served) -> None:
    document = "name: poem\nneeds_workspace: false\nphases:\n  - {name: write, kind: model, prompt: write.md}\n"
    start = {"task": "Write it", "pipeline_yaml": document, "prompts": {"write.md": "Write about {{ task.change }}"}}
    answer = await api.client.post("/runs", json=start, headers=api.ours.header())
    assert answer.status_code == 202, answer.text
    shown = (await api.client.get(f"/runs/{answer.json()['run_id']}", headers=api.ours.header())).json()
    assert shown["pipeline_name"] == "poem"
    assert shown["pipeline"]["phases"][0]["prompt"] == "Write about {{ task.change }}"
    assert shown["workspace_id"] is None


@pytest.mark.parametrize("path", ["../out.md", "/etc/out.md", "pipeline.yaml", ""])
async def test_a_prompt_stays_in_its_folder(api: Served, path: str) -> None:
    start = {"task": "x", "pipeline_yaml": "name: poem\n", "prompts": {path: "text"}}
    answer = await api.client.post("/runs", json=start, headers=api.ours.header())
    assert answer.status_code == 422
    assert answer.json()["field"] == "prompts"


async def test_another_organization_cannot_be_named(api: Served, repository: Path) -> None:
    answer = await api.client.post("/runs", json=body(repository, org="other"), headers=api.ours.header())
    assert answer.status_code == 403
