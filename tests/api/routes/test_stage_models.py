"""The environment's models of stages at the start of a run: used where nothing more particular is set, and judged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.store.catalogue import PostgresCatalogue
from api.settings import ApiSettings
from domain.identity.words import Role
from tests.api.served import Served
from worker.settings import WorkerSettings

AGENT = "name: mend\nphases:\n  - {name: work, kind: agent, prompt: work.md, stage: retrieval}\n"


def _with(api: Served, **models: str) -> None:
    api.app.state.deps = replace(api.deps, settings=api.deps.settings.model_copy(update=models))


async def _start(api: Served, repository: Path, **settings: Any) -> Any:
    body = {"task": "Mend it", "repo": str(repository), "settings": {"test_command": "true", **settings}}
    return await api.client.post("/runs", json=body, headers=api.ours.header())


async def test_a_stage_whose_model_no_allowed_provider_serves_is_refused_with_its_name(
    api: Served, repository: Path
) -> None:
    _with(api, context_model="gone:big-1")
    refused = await _start(api, repository)
    assert refused.status_code == 403, refused.text
    problem = refused.json()
    assert (
        "`gone:big-1`" in problem["detail"] and "CONTEXT_MODEL" in problem["detail"] and "scripted" in problem["hint"]
    )
    assert (await _start(api, repository, models={"context": "scripted:demo"})).status_code == 202
    assert (await _start(api, repository, models={"planner": "scripted:demo"})).status_code == 202
    assert (await _start(api, repository, model="scripted:demo")).status_code == 202


async def test_an_agent_phase_is_judged_too(api: Served, repository: Path) -> None:
    _with(api, retrieval_model="scripted:demo", execution_model="gone:big-1")
    start = {"task": "x", "repo": str(repository), "pipeline_yaml": AGENT, "prompts": {"work.md": "Work"}}
    assert (await api.client.post("/runs", json=start, headers=api.ours.header())).status_code == 202
    _with(api, retrieval_model="gone:big-1")
    refused = await api.client.post("/runs", json=start, headers=api.ours.header())
    assert refused.status_code == 403 and "RETRIEVAL_MODEL" in refused.json()["detail"]


async def test_the_workspaces_model_goes_before_the_environments(api: Served, repository: Path) -> None:
    assert (await _start(api, repository)).status_code == 202
    [shop] = await api.deps.catalogue.workspaces(api.ours.id)
    await PostgresCatalogue(api.database).save_workspace(
        api.ours.id, shop.model_copy(update={"models": {"context": "gone:shop"}})
    )
    _with(api, context_model="scripted:demo")
    refused = await _start(api, repository)
    assert refused.status_code == 403 and f"workspace `{shop.name}`" in refused.json()["detail"]
    listed = await api.client.get("/api/v1/workspaces", headers=api.ours.header(Role.VIEWER))
    assert listed.json()[0]["models"] == {"context": "gone:shop"}


@pytest.mark.parametrize("settings", [ApiSettings, WorkerSettings])
def test_a_process_does_not_start_with_a_model_that_names_no_provider(
    settings: type[ApiSettings | WorkerSettings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("MILLWRIGHT_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("EXECUTION_MODEL", "scripted:demo")
    assert settings().stage_models.execution == "scripted:demo"
    monkeypatch.setenv("EXECUTION_MODEL", "gpt-5-mini")
    with pytest.raises(ValidationError, match="EXECUTION_MODEL"):
        settings()
