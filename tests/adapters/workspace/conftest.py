"""A real repository of a user, and workspaces over a state folder whose name has a space."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from adapters.workspace import GitWorkspaces

ROOT = Path(__file__).resolve().parents[3]
USER_ENV = {
    "PATH": os.defpath + ":/usr/local/bin",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "User",
    "GIT_AUTHOR_EMAIL": "user@example.org",
    "GIT_COMMITTER_NAME": "User",
    "GIT_COMMITTER_EMAIL": "user@example.org",
    "LC_ALL": "C",
}


def git(folder: Path, *args: str, stdin: bytes = b"") -> str:
    done = subprocess.run(["git", *args], cwd=folder, env=USER_ENV, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, f"git {' '.join(args)}: {done.stderr.decode(errors='replace')}"
    return done.stdout.decode(errors="replace").strip()


def started(*words: str, held: tuple[int, ...] = ()) -> "subprocess.Popen[bytes]":
    """A process from the root of the product; its output is a pipe."""
    env = {"PATH": os.defpath}
    return subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, pass_fds=held)


@dataclass
class UserRepo:
    """The repository of the person who starts runs. Its own git, with its own identity."""

    path: Path

    def git(self, *args: str, stdin: bytes = b"") -> str:
        return git(self.path, *args, stdin=stdin)

    def commit(self, files: dict[str, str | bytes], message: str = "change") -> str:
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.head

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    @property
    def tree(self) -> str:
        return self.git("rev-parse", "HEAD^{tree}")

    def everything(self) -> dict[str, tuple[float, bytes]]:
        """Each file of it, `.git` included, with its time and content: to show that nothing was written."""
        return {
            str(path.relative_to(self.path)): (path.lstat().st_mtime, path.read_bytes())
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }


@dataclass
class Run:
    """One run with its worktree, by the port alone."""

    workspaces: GitWorkspaces
    repo: UserRepo
    workspace_id: UUID = field(default_factory=uuid4)
    run_id: UUID = field(default_factory=uuid4)
    base: str = ""

    async def prepare(self) -> "Run":
        self.base = self.base or self.repo.head
        await self.workspaces.prepare(self.workspace_id, self.run_id, str(self.repo.path), self.base)
        return self

    @property
    def path(self) -> Path:
        return self.workspaces.path(self.workspace_id, self.run_id)

    @property
    def ids(self) -> tuple[UUID, UUID]:
        return self.workspace_id, self.run_id

    @property
    def clone(self) -> Path:
        return self.path.parent.parent / "repo.git"

    @property
    def base_tree(self) -> str:
        return self.repo.git("rev-parse", f"{self.base}^{{tree}}")

    async def snapshot(self, label: str = "now") -> str:
        return await self.workspaces.snapshot(*self.ids, label=label)

    async def restore(self, tree: str) -> None:
        await self.workspaces.restore(*self.ids, tree)

    def files(self, tree: str) -> dict[str, str]:
        """Name to mode and hash, as the clone has the tree."""
        entries = [e for e in git(self.clone, "ls-tree", "-r", "-z", tree).split("\0") if e]
        return {e.partition("\t")[2]: e.partition("\t")[0] for e in entries}

    def content(self, tree: str, path: str) -> str:
        return git(self.clone, "show", f"{tree}:{path}")


@pytest.fixture
def user_repo(tmp_path: Path) -> UserRepo:
    path = tmp_path / "user repo"
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    repo = UserRepo(path)
    repo.commit(
        {
            "src/calc.py": "def add(a, b):\n    return a - b\n",
            "tests/test_calc.py": "assert True\n",
            "README.md": "sample\n",
            ".gitignore": "*.pyc\nbuild/\n",
        },
        "base",
    )
    return repo


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state folder" / "workspaces"


@pytest.fixture
async def workspaces(state: Path) -> AsyncIterator[GitWorkspaces]:
    made = GitWorkspaces(state)
    yield made
    made.close()


@pytest.fixture
async def run(workspaces: GitWorkspaces, user_repo: UserRepo) -> Run:
    return await Run(workspaces, user_repo).prepare()


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A command that a planted hook or config would run, and the file that it would leave."""
    mark = tmp_path / "trapped"
    script = tmp_path / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch '{mark}'\nexit 0\n")
    script.chmod(0o755)
    yield str(script), mark
    assert not mark.exists(), "something that was planted in a repository has been run by our git"
