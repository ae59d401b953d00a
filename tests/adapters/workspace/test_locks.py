"""A worktree belongs to one phase at a time, across processes; a cancelled call ends its git."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from adapters.workspace import GitWorkspaces
from adapters.workspace.git import Git
from adapters.workspace.locks import held, is_held, released_after, try_lock
from domain.errors import PhaseFailure
from domain.runs.failure import ErrorKind, FailureClass
from tests.adapters.workspace.conftest import Run, UserRepo, started

HOLDER = """
import asyncio, sys, pathlib, uuid
from adapters.workspace import GitWorkspaces
async def hold():
    workspaces = GitWorkspaces(pathlib.Path(sys.argv[1]))
    async with workspaces.lock(uuid.UUID(sys.argv[2]), uuid.UUID(sys.argv[3]), wait_seconds=5):
        print("held", flush=True)
        await asyncio.sleep(600)
asyncio.run(hold())
"""


async def test_held_across_processes_and_freed_by_death(run: Run, state: Path) -> None:
    words = [sys.executable, "-c", HOLDER, str(state), *map(str, run.ids)]
    with started(*words) as holder:
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == b"held\n"
        with pytest.raises(PhaseFailure) as failure:
            async with run.workspaces.lock(*run.ids, wait_seconds=0.1):
                pass
        assert f"process {holder.pid}" in failure.value.error.message
        assert failure.value.error.failure_class is FailureClass.INFRASTRUCTURE
        assert not await run.workspaces.reclaim(*run.ids)
        waiting = asyncio.ensure_future(run.workspaces.lock(*run.ids, wait_seconds=60).__aenter__())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        holder.send_signal(signal.SIGKILL)
        lock = await waiting
        await lock.__aexit__(None, None, None)


async def test_held_within_a_process(run: Run) -> None:
    first = run.workspaces.lock(*run.ids, wait_seconds=1)
    async with first:
        assert os.fstat(first.fileno())
        with pytest.raises(PhaseFailure):
            await run.workspaces.lock(*run.ids, wait_seconds=0).__aenter__()
        other = Run(run.workspaces, run.repo, workspace_id=run.workspace_id)
        async with run.workspaces.lock(*other.ids, wait_seconds=0):
            pass
    async with run.workspaces.lock(*run.ids, wait_seconds=0):
        pass
    with pytest.raises(ValueError, match="not held"):
        first.fileno()


async def test_a_lock_is_of_the_file_that_is_there(run: Run) -> None:
    """Reclaiming removes the lock file; who waited for it must lock the new one."""
    async with run.workspaces.lock(*run.ids, wait_seconds=0):
        (run.path.parent / f"{run.run_id}.lock").unlink()
        async with run.workspaces.lock(*run.ids, wait_seconds=0):
            with pytest.raises(PhaseFailure):
                await run.workspaces.lock(*run.ids, wait_seconds=0).__aenter__()


async def test_a_cancelled_call_ends_its_git_and_the_next_one_works(
    workspaces: GitWorkspaces, user_repo: UserRepo, tmp_path: Path
) -> None:
    """A git that never answers: its upload-pack waits for a named pipe in the place of a ref."""
    run = Run(workspaces, user_repo, base=user_repo.head)
    pipe = user_repo.path / ".git" / "packed-refs"
    os.mkfifo(pipe)
    call = asyncio.ensure_future(run.prepare())
    await asyncio.sleep(0.5)
    assert not call.done()
    began = time.monotonic()
    call.cancel()
    await asyncio.wait([call], timeout=10)
    took = time.monotonic() - began
    descriptor = os.open(pipe, os.O_RDWR)  # whatever still waits for it goes on
    await asyncio.wait([call])
    os.close(descriptor)
    pipe.unlink()
    assert call.cancelled()
    assert took < 3
    await run.prepare()
    assert await run.snapshot() == run.base_tree


async def test_git_that_outlives_its_worker_keeps_the_lock(tmp_path: Path) -> None:
    """Every git child inherits the lock's descriptor, so the lock is free only when the child has ended, too."""
    pipe, path = tmp_path / "pipe", tmp_path / "a.lock"
    os.mkfifo(pipe)
    git = Git("git", tmp_path, {"PATH": os.defpath})
    with held(path) as descriptor:
        waiting = asyncio.ensure_future(
            asyncio.to_thread(git.at(tmp_path, held_locks=(descriptor,)).try_run, "hash-object", str(pipe))
        )
        await asyncio.sleep(0.3)
    held_by_git = is_held(path)
    await asyncio.to_thread(pipe.write_text, "the end\n")
    assert (await waiting).code == 0
    assert (held_by_git, is_held(path)) == (True, False)


async def test_no_two_hold_a_lock_whose_file_is_removed_again_and_again(tmp_path: Path) -> None:
    path, holders, together = tmp_path / "a.lock", [0], []
    until = time.monotonic() + 1.5

    def hold_and_remove() -> int:
        rounds = 0
        while time.monotonic() < until:
            descriptor = try_lock(path)
            if descriptor is not None:
                with released_after(descriptor):
                    rounds += 1
                    holders[0] += 1
                    time.sleep(0)
                    together.extend([rounds] if holders[0] > 1 else [])
                    holders[0] -= 1
                    path.unlink()
        return rounds

    rounds = await asyncio.gather(*(asyncio.to_thread(hold_and_remove) for _ in range(4)))
    assert min(rounds) > 0
    assert together == []


async def test_no_git_says_what_to_do(tmp_path: Path) -> None:
    workspaces = GitWorkspaces(tmp_path, git=str(tmp_path / "missing-git"))
    with pytest.raises(PhaseFailure) as failure:
        await workspaces.inspect(str(tmp_path))
    assert "missing-git" in failure.value.error.message
    assert failure.value.error.kind is ErrorKind.WORKSPACE
    workspaces.close()
