"""A process for test_full_disk.py, in a mount namespace of its own: fills a small disk at each kind of work."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path
from uuid import uuid4

from adapters.workspace import GitWorkspaces
from domain.errors import PhaseFailure


def mount(folder: Path, size: str) -> None:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "small", str(folder)], check=True)


def fill(folder: Path, leave_bytes: int) -> Path:
    filler = folder / "filler"
    space = os.statvfs(folder)
    filler.write_bytes(b"x" * max(0, space.f_bavail * space.f_frsize - leave_bytes))
    return filler


def fsck(repository: Path) -> str:
    done = subprocess.run(["git", "fsck", "--no-dangling"], cwd=repository, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def half_written(repository: Path) -> list[str]:
    return [path.name for path in (repository / "objects").rglob("tmp_*")]


async def failing(told: dict[str, object], what: str, work: Awaitable[object]) -> None:
    try:
        await work
        told[what] = None
    except PhaseFailure as failure:
        told[what] = failure.error.model_dump(mode="json")


async def main(folder: Path, repo: str) -> dict[str, object]:
    told: dict[str, object] = {}
    small = folder / "small"
    mount(small, "64m")
    workspaces = GitWorkspaces(small / "workspaces")
    base = await workspaces.inspect(repo)
    ids = uuid4(), uuid4()
    filler = fill(small, 24 * 1024)
    await failing(told, "prepare", workspaces.prepare(*ids, repo, base.commit))
    told["left by prepare"] = [str(p.name) for p in small.rglob("*") if "tmp" in p.name or p.name == str(ids[1])]
    filler.unlink()
    path = await workspaces.prepare(*ids, repo, base.commit)
    filler = fill(small, 100 * 1024)
    other = ids[0], uuid4()
    await failing(told, "prepare another", workspaces.prepare(*other, repo, base.commit))
    told["left by prepare another"] = [p.name for p in path.parent.iterdir() if p.is_dir() and p != path]
    filler.unlink()
    await workspaces.prepare(*other, repo, base.commit)
    big = os.urandom(700_000).hex()
    await workspaces.write_files(*ids, {"big.txt": big})
    tree = await workspaces.snapshot(*ids, label="big")
    await workspaces.restore(*ids, base.tree)
    (path / "other.txt").write_text(os.urandom(100_000).hex())
    filler = fill(small, 16 * 1024)
    await failing(told, "snapshot", workspaces.snapshot(*ids, label="other"))
    (path / "other.txt").unlink()
    filler.unlink()
    (path / "large.bin").write_bytes(os.urandom(18_000_000))  # streamed into a pack of its own
    filler = fill(small, 1024**2)
    await failing(told, "snapshot large", workspaces.snapshot(*ids, label="large"))
    told["left by snapshot large"] = half_written(path.parents[1] / "repo.git")
    (path / "large.bin").unlink()
    filler.unlink()
    filler = fill(small, 300 * 1024)
    await failing(told, "restore", workspaces.restore(*ids, tree))
    await failing(told, "write_files", workspaces.write_files(*ids, {"a.txt": "x", "more.txt": big}))
    told["left by write_files"] = [p.name for p in path.iterdir() if p.name.startswith(".millwright-")]
    filler.unlink()
    await workspaces.restore(*ids, tree)
    told["restored after"] = (path / "big.txt").read_text() == big
    told["equal after"] = await workspaces.snapshot(*ids, label="again") == tree
    told["fsck"] = fsck(path.parents[1] / "repo.git")
    workspaces.close()
    return told


print(json.dumps(asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))))
