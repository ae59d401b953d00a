"""A set-up is done once per worktree, and again when anything that it depends on changes."""

from domain.runs.ports import WorkspaceFacts
from tests.adapters.workspace.conftest import Run


def facts(run: Run, **changed: object) -> WorkspaceFacts:
    told = {"setup_command": "make", "setup_inputs": ("*.lock", "/setup/**"), **changed}
    return WorkspaceFacts.model_validate(
        {"workspace_id": run.workspace_id, "name": "w", "repo_path": str(run.repo.path), **told}
    )


async def key(run: Run, told: WorkspaceFacts | None = None) -> str:
    return await run.workspaces.setup_key(told or facts(run), run.run_id, await run.snapshot())


async def test_the_key_follows_command_environment_and_inputs_only(run: Run) -> None:
    (run.path / "uv.lock").write_text("1\n")
    first = await key(run)
    (run.path / "src/calc.py").write_text("changed\n")
    assert await key(run) == first
    assert await key(run, facts(run, name="renamed")) == first
    others = {await key(run, facts(run, setup_command="make all")), await key(run, facts(run, env={"A": "b"}))}
    (run.path / "sub").mkdir()
    (run.path / "sub/other.lock").write_text("1\n")
    others.add(await key(run))
    (run.path / "uv.lock").write_text("2\n")
    others.add(await key(run))
    assert len(others | {first}) == 5
    assert await key(run, facts(run, setup_inputs=()))


async def test_done_for_this_worktree_and_key(run: Run) -> None:
    assert not run.workspaces.is_set_up(*run.ids, "a")
    run.workspaces.mark_set_up(*run.ids, "a")
    assert run.workspaces.is_set_up(*run.ids, "a")
    assert not run.workspaces.is_set_up(*run.ids, "b")
    other = await Run(run.workspaces, run.repo, workspace_id=run.workspace_id).prepare()
    assert not run.workspaces.is_set_up(*other.ids, "a")
    await run.snapshot()
    await run.workspaces.reclaim(*run.ids)
    await run.prepare()
    assert not run.workspaces.is_set_up(*run.ids, "a"), "ignored files went with the worktree"
