"""SIGKILL at any moment, with or without the git under way: the next call goes on from what is there."""

import asyncio
import os
import random
import sys
from uuid import UUID, uuid4

import psutil
import pytest

from tests.adapters.workspace.conftest import Run, git, started

ROUNDS = 20


@pytest.mark.parametrize("git_too", [False, True])
async def test_killed_at_random_moments(run: Run, git_too: bool) -> None:
    moments = random.Random(f"moments {git_too}")
    workspace_id = uuid4()
    for number in range(ROUNDS // 2):
        if number % 3 == 0:
            workspace_id = uuid4()  # so that the clone's making is hit, too
        victim = Run(run.workspaces, run.repo, workspace_id=workspace_id, base=run.base)
        branch = f"millwright/{victim.run_id.hex[-12:]}"
        await kill_while_working(victim, branch, moments.uniform(0, 0.25), git_too=git_too)
        await everything_works(victim, branch)


async def kill_while_working(victim: Run, branch: str, after_seconds: float, *, git_too: bool) -> None:
    root = victim.path.parents[2]
    words = [sys.executable, "-m", "tests.adapters.workspace.endless_work", str(root), *map(str, victim.ids)]
    words += [str(victim.repo.path), victim.base, branch]
    with started(*words) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
        await asyncio.sleep(after_seconds)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in children if git_too else []:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue


async def everything_works(victim: Run, branch: str) -> None:
    await victim.prepare()
    tree = await victim.snapshot("after")
    await victim.restore(victim.base_tree)
    assert await victim.snapshot() == victim.base_tree
    await victim.restore(tree)
    (victim.path / "last.txt").write_text("done\n")
    last = await victim.snapshot("last")
    facts = await victim.workspaces.commit(
        *victim.ids, tree=last, message="last", trailers={"Turn": "last"}, branch=branch, base_commit=victim.base
    )
    assert facts is not None
    delivered = await victim.workspaces.deliver(
        *victim.ids, branch=branch, remote="origin", repo_path=str(victim.repo.path)
    )
    assert delivered.commit == facts.sha
    turns = git(victim.clone, "log", "--format=%(trailers:key=Turn,valueonly)", f"{victim.base}..{branch}").split()
    assert len(turns) == len(set(turns)), "one commit per turn"
    assert git(victim.clone, "fsck", "--connectivity-only", "--no-dangling") == ""
    assert git(victim.repo.path, "fsck", "--no-dangling") == ""
    assert git(victim.path, "status", "--porcelain", "--", "src") == ""
    own = f"{victim.run_id}"
    await packs_on_their_way_are_removed_when_they_are_old(victim)
    left = {p.name for p in victim.path.parent.iterdir() if own in p.name} - {
        own, f"{own}.index", f"{own}.json", f"{own}.git.lock"
    }  # fmt: skip
    assert left == set(), "nothing half-made stays"
    assert [p for p in victim.clone.parent.iterdir() if p.name.startswith(".tmp-")] == []


async def packs_on_their_way_are_removed_when_they_are_old(victim: Run) -> None:
    lost = list(victim.path.parent.glob(f".tmp-pack-*-{victim.run_id}"))
    await victim.workspaces.clean_up(finished=(), active=(victim.run_id,))
    assert all(pack.exists() for pack in lost), "it may be on its way to the artifact store"
    for pack in lost:
        os.utime(pack, (1, 1))
    await victim.workspaces.clean_up(finished=(), active=(victim.run_id,))
    assert not any(pack.exists() for pack in lost)


async def test_locks_that_a_killed_git_left_do_not_stop_us(run: Run) -> None:
    branch = "millwright/x"
    (run.path / "new.txt").write_text("x\n")
    tree = await run.snapshot("1")
    for name in (f"refs/millwright/{run.run_id}/2.lock", f"refs/heads/{branch}.lock", "packed-refs.lock"):
        (run.clone / name).parent.mkdir(parents=True, exist_ok=True)
        (run.clone / name).write_text("")
    for name in ("index.work.lock", "index.work", "index.scratch.lock"):
        (run.path.parent / f"{run.run_id}.{name}").write_text("torn")
    assert await run.snapshot("2") == tree
    trailers = {"Run": str(run.run_id)}
    assert await run.workspaces.commit(
        *run.ids, tree=tree, message="m", trailers=trailers, branch=branch, base_commit=run.base
    )
    run.repo.commit({"later.txt": "x\n"})
    other = await Run(run.workspaces, run.repo, workspace_id=run.workspace_id).prepare()
    assert isinstance(other.run_id, UUID)
    assert (other.path / "later.txt").exists()
