"""A process for test_permissions.py: a run whose commands took the permissions of files and folders away."""

import asyncio
import json
import sys
from pathlib import Path
from uuid import uuid4

from adapters.workspace import GitWorkspaces


async def main(root: str, repo: str) -> dict[str, object]:
    workspaces = GitWorkspaces(Path(root))
    base = await workspaces.inspect(repo)
    ids = uuid4(), uuid4()
    path = await workspaces.prepare(*ids, repo, base.commit)
    locked = path / "locked"
    locked.mkdir()
    (locked / "file.txt").write_text("x\n")
    (locked / "file.txt").chmod(0)
    locked.chmod(0)
    tree = await workspaces.snapshot(*ids, label="locked")
    stat = await workspaces.diff_stat(*ids, base.tree, tree)
    locked.chmod(0)
    await workspaces.restore(*ids, base.tree)
    gone = not locked.exists()
    (path / "src").chmod(0)
    tracked = await workspaces.snapshot(*ids, label="tracked") == base.tree
    (path / ".git" / "objects").chmod(0)
    (path / ".git").chmod(0o500)
    path.chmod(0o500)
    await workspaces.restore(*ids, tree)
    (path / "src").chmod(0)
    path.chmod(0o500)
    reclaimed = await workspaces.reclaim(*ids)
    workspaces.close()
    return {"added": stat.files_changed, "gone": gone, "tracked": tracked, "reclaimed": reclaimed}


print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2]))))
