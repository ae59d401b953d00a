"""Checkpoints of an agent's turns: one worker makes them, another that shares only record and store goes on."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from activities.runs.packs import TreeKeeper
from adapters.artifacts.store import ObjectArtifactStore
from adapters.store.database import open_database
from adapters.store.packs import PostgresPackRecord
from adapters.workspace import GitWorkspaces
from domain.errors import PhaseFailure
from domain.runs.messages import RunSettings, TaskSpec
from domain.runs.ports import RunFacts, WorkspaceFacts
from domain.workspaces.packs import KeptTree
from tests.adapters.store.record import PIPELINE, Record
from tests.support.databases import Database


class Place:
    """A machine with a worker: its own state folder, the common record and artifact store."""

    def __init__(self, folder: Path, record: Record, artifacts: ObjectArtifactStore) -> None:
        self.workspaces = GitWorkspaces(folder / "workspaces")
        self.trees = TreeKeeper(
            workspaces=self.workspaces,
            packing=self.workspaces.packs,
            record=PostgresPackRecord(record.database),
            artifacts=artifacts,
        )


class Bench:
    def __init__(self, record: Record, run: RunFacts, repo: Path, places: list[Place]) -> None:
        self.record, self.run, self.repo = record, run, repo
        self.one, self.two = places

    async def worktree(self, place: Place) -> Path:
        return await place.trees.prepared(self.run)

    def committed(self, kept: KeptTree) -> None:
        """As the turn's transaction writes it."""
        for each in kept.artifacts:
            self.record.rows(
                "INSERT INTO artifact (org_id, run_id, attempt_id, name, sha256, size_bytes, media_type, created_at)"
                " VALUES (%s, %s, gen_random_uuid(), %s, %s, %s, %s, now()) RETURNING 1",
                self.run.org_id,
                self.run.run_id,
                each.name,
                each.sha256,
                each.size_bytes,
                each.media_type,
            )

    async def snapshot(self, place: Place) -> str:
        assert self.run.workspace is not None
        return await place.workspaces.snapshot(self.run.workspace.workspace_id, self.run.run_id, label="seen")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "a.txt").write_text("a\n")
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "base"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words], cwd=folder, check=True)
    return folder


@pytest.fixture
async def bench(database: Database, repo: Path, tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_database(database.app_url) as connected:
        record = await Record.make(connected, database)
        state = await record.opened()
        artifacts = ObjectArtifactStore((tmp_path / "artifacts").as_uri())
        places = [Place(tmp_path / name, record, artifacts) for name in ("one", "two")]
        base = await places[0].workspaces.inspect(str(repo))
        record.rows("UPDATE run SET base_commit = %s, base_tree = %s RETURNING 1", base.commit, base.tree)
        workspace_id = record.run_row(state.run_id)["workspace_id"]
        run = RunFacts(
            org_id=record.org_id,
            run_id=state.run_id,
            task=TaskSpec(change="x"),
            pipeline=PIPELINE,
            settings=RunSettings(),
            workspace=WorkspaceFacts(workspace_id=workspace_id, name="w", repo_path=str(repo)),
            base_commit=base.commit,
            base_tree=base.tree,
        )
        yield Bench(record, run, repo, places)
        for place in places:
            place.workspaces.close()


async def _turns(bench: Bench, count: int) -> list[str]:
    """Trees of turns in which one file is added, changed and deleted in turn."""
    path, trees = await bench.worktree(bench.one), [bench.run.base_tree or ""]
    for turn in range(count):
        (path / f"turn-{turn}.txt").write_text(f"{turn}\n")
        (path / "a.txt").write_text(f"a {turn}\n")
        (path / f"turn-{turn - 2}.txt").unlink(missing_ok=True)
        kept = await bench.one.trees.checkpoint(bench.run, label=f"turn-{turn}", known_tree=trees[-1])
        bench.committed(kept)
        trees.append(kept.tree)
    return trees


async def test_any_turn_is_restored_elsewhere(bench: Bench) -> None:
    trees = await _turns(bench, 6)
    shutil.rmtree(bench.repo)  # nor does the other machine have it
    await bench.worktree(bench.two)
    for tree in (trees[-1], trees[2], trees[5], trees[0]):
        await bench.two.trees.restore(bench.run, tree)
        assert await bench.snapshot(bench.two) == tree
    (await bench.worktree(bench.two) / "more.txt").write_text("goes on there\n")
    kept = await bench.two.trees.checkpoint(bench.run, label="there", known_tree=trees[0])
    bench.committed(kept)
    await bench.one.trees.restore(bench.run, kept.tree)
    assert await bench.snapshot(bench.one) == kept.tree, "and back again"


async def test_a_turn_that_changed_nothing_stores_nothing(bench: Bench, tmp_path: Path) -> None:
    await bench.worktree(bench.one)
    kept = await bench.one.trees.checkpoint(bench.run, label="t", known_tree=bench.run.base_tree or "")
    assert kept == KeptTree(tree=bench.run.base_tree or "")
    assert list((tmp_path / "artifacts").rglob("*")) == []


async def test_the_base_is_stored_once_and_no_file_is_left_behind(bench: Bench, tmp_path: Path) -> None:
    await _turns(bench, 3)
    bodies = [body for body in (tmp_path / "artifacts").rglob("*") if body.is_file()]
    assert len(bodies) == 4, "three turns and the base"
    assert list(tmp_path.rglob(".tmp-pack-*")) == []


async def test_the_phases_one_pack_stands_for_its_turns(bench: Bench, tmp_path: Path) -> None:
    trees = await _turns(bench, 4)
    bench.committed(await bench.one.trees.kept(bench.run, known_tree=trees[0], tree=trees[-1]))
    stored = await PostgresPackRecord(bench.record.database).stored(bench.run.org_id, bench.run.run_id)
    for edge in stored.packs[:-1]:  # the turns' packs may go
        (tmp_path / "artifacts" / str(bench.run.org_id) / edge.sha256[:2] / edge.sha256).unlink()
    await bench.worktree(bench.two)
    await bench.two.trees.restore(bench.run, trees[-1])
    assert await bench.snapshot(bench.two) == trees[-1]


async def test_a_tree_that_was_never_committed_is_said(bench: Bench) -> None:
    path = await bench.worktree(bench.one)
    (path / "a.txt").write_text("lost\n")
    lost = await bench.one.trees.checkpoint(bench.run, label="t", known_tree=bench.run.base_tree or "")
    await bench.worktree(bench.two)
    with pytest.raises(PhaseFailure, match="neither on this worker nor in the artifact store") as failure:
        await bench.two.trees.restore(bench.run, lost.tree)
    assert failure.value.error.hint
