"""A process for test_killed.py: prepares a run and works on it until it is killed."""

import asyncio
import sys
from pathlib import Path
from uuid import UUID

from adapters.workspace import GitWorkspaces


async def work(root: str, workspace: str, run: str, repo: str, base: str, branch: str) -> None:
    workspaces = GitWorkspaces(Path(root))
    ids = UUID(workspace), UUID(run)
    base_tree = (await workspaces.inspect(repo)).tree
    print("ready", flush=True)
    path = await workspaces.prepare(*ids, repo, base)
    turn, known = 0, base_tree
    while True:
        turn += 1
        for number in range(20):
            (path / f"new-{turn}-{number}.txt").write_text(f"{turn} {number}\n" * 50)
        made = await workspaces.packs.checkpoint(*ids, label=f"{turn}", known_tree=known)
        tree = known = made.tree
        if made.pack is not None:
            made.pack.unlink()
        await workspaces.commit(
            *ids, tree=tree, message="turn", trailers={"Turn": f"{turn}"}, branch=branch, base_commit=base
        )
        await workspaces.restore(*ids, base_tree)
        await workspaces.restore_for_verification(*ids, tree, base_tree, ["src/**"])
        await workspaces.deliver(*ids, branch=branch, remote="origin", repo_path=repo)


asyncio.run(work(*sys.argv[1:]))
