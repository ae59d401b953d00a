"""Clean worktrees of finished runs go; dirty ones, ones in use and unknown ones stay and are named."""

from pathlib import Path
from uuid import uuid4

from adapters.workspace import GitWorkspaces
from adapters.workspace.locks import held
from tests.adapters.workspace.conftest import Run, UserRepo, git


def beside(run: Run) -> list[str]:
    return sorted(p.name for p in run.path.parent.iterdir() if str(run.run_id) in p.name)


async def test_a_clean_worktree_goes_with_all_that_lies_beside_it(run: Run) -> None:
    (run.path / "new.txt").write_text("x\n")
    tree = await run.snapshot("1")
    (run.path / "build").mkdir()
    (run.path / "build/ignored").write_text("x")
    run.workspaces.mark_set_up(*run.ids, "key")
    async with run.workspaces.lock(*run.ids, wait_seconds=0):
        pass
    assert await run.workspaces.reclaim(*run.ids)
    assert beside(run) == []
    assert await run.workspaces.reclaim(*run.ids)
    await run.prepare()
    await run.restore(tree)
    assert (run.path / "new.txt").read_text() == "x\n"


async def test_a_dirty_worktree_is_never_deleted(run: Run) -> None:
    (run.path / "unsaved.txt").write_text("x\n")
    assert not await run.workspaces.reclaim(*run.ids)
    assert (run.path / "unsaved.txt").exists()
    other = await Run(run.workspaces, run.repo, workspace_id=run.workspace_id).prepare()
    (other.path / "unsaved.txt").write_text("x\n")
    await other.snapshot("1")
    assert not await run.workspaces.reclaim(*run.ids), "a tree of another run is no record of this one"
    (run.path / ".GIT").mkdir()
    (run.path / ".GIT/x").write_text("x")
    assert not await run.workspaces.reclaim(*run.ids), "what git cannot hold is no recorded tree"


async def test_not_while_a_command_of_it_lives(run: Run) -> None:
    with held(run.path.with_name(f"{run.run_id}.guard")):
        assert not await run.workspaces.reclaim(*run.ids)
    assert await run.workspaces.reclaim(*run.ids)


async def test_the_janitor_says_what_became_of_each(
    workspaces: GitWorkspaces, user_repo: UserRepo, state: Path
) -> None:
    first = Run(workspaces, user_repo)
    runs = [Run(workspaces, user_repo, workspace_id=first.workspace_id) for _ in range(5)]
    clean, dirty, used, active, unknown = [await run.prepare() for run in runs]
    elsewhere = await Run(workspaces, user_repo).prepare()
    (dirty.path / "unsaved.txt").write_text("x\n")
    (state / "notes.txt").write_text("not a workspace\n")
    for name in (f".tmp-{clean.run_id}", f".tmp-trash-{clean.run_id}", f".tmp-old-git-{uuid4()}"):
        (clean.path.parent / name / "half").mkdir(parents=True)
    async with workspaces.lock(*used.ids, wait_seconds=0):
        report = await workspaces.clean_up(
            finished={clean.run_id, dirty.run_id, used.run_id, elsewhere.run_id, uuid4()}, active={active.run_id}
        )
    assert set(report.reclaimed) == {clean.run_id, elsewhere.run_id}
    assert {kept.run_id for kept in report.kept} == {dirty.run_id, used.run_id}
    assert all(kept.reason and kept.path.exists() for kept in report.kept)
    assert report.active == (active.run_id,)
    assert [(o.run_id, o.path) for o in report.orphaned] == [(unknown.run_id, unknown.path)]
    assert unknown.path.exists() and active.path.exists()
    assert list(clean.path.parent.glob(".tmp-*")) == []


async def test_many_loose_objects_are_packed_and_nothing_is_lost(run: Run) -> None:
    for number in range(6_000):
        (run.path / f"f{number}.txt").write_text(f"{number}\n")
    tree = await run.snapshot("many")
    await run.workspaces.clean_up(finished=(), active={run.run_id})
    assert len(list((run.clone / "objects").glob("??/*"))) < 100
    assert git(run.clone, "fsck", "--connectivity-only", "--no-dangling") == ""
    assert git(run.path, "status", "--porcelain", "--", "src") == ""
    await run.restore(run.base_tree)
    await run.restore(tree)
    assert await run.snapshot("again") == tree


async def test_what_a_killed_git_was_writing_is_removed_and_what_is_being_written_stays(run: Run) -> None:
    packs = run.clone / "objects" / "pack"
    packs.mkdir(parents=True, exist_ok=True)
    (packs / "tmp_pack_dead").write_bytes(b"half")
    with (packs / "tmp_pack_alive").open("wb") as written:
        written.write(b"half")
        await run.workspaces.clean_up(finished=(), active={run.run_id})
        assert [path.name for path in packs.glob("tmp_*")] == ["tmp_pack_alive"]


async def test_an_empty_state_folder(workspaces: GitWorkspaces) -> None:
    report = await workspaces.clean_up(finished=(), active=())
    assert report == type(report)()
