"""Repositories in which a run sees less than the person may think: it works, and says so."""

import os
from pathlib import Path

import pytest

from adapters.workspace import GitWorkspaces
from tests.adapters.workspace.conftest import Run, UserRepo, git

POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


async def _works(workspaces: GitWorkspaces, repo: UserRepo) -> Run:
    """The whole life of a run, delivery included."""
    run = await Run(workspaces, repo).prepare()
    (run.path / "src").mkdir(exist_ok=True)
    (run.path / "src" / "calc.py").write_text("fixed\n")
    tree = await run.snapshot()
    await run.restore(run.base_tree)
    await run.restore(tree)
    assert await run.snapshot() == tree
    assert git(run.path, "log", "--format=%H", "-1") == run.base
    git(run.path, "log", "--stat")
    await workspaces.commit(
        *run.ids, tree=tree, message="m", trailers={"Run": "1"}, branch="mw/x", base_commit=run.base
    )
    done = await workspaces.deliver(*run.ids, branch="mw/x", remote="origin", repo_path=str(repo.path))
    assert repo.git("rev-parse", "mw/x") == done.commit
    return run


async def _warned(workspaces: GitWorkspaces, repo: UserRepo) -> str:
    return "\n".join((await workspaces.inspect(str(repo.path))).warnings)


async def test_an_ordinary_one_has_no_warning(workspaces: GitWorkspaces, user_repo: UserRepo) -> None:
    assert await _warned(workspaces, user_repo) == ""


async def test_shallow(workspaces: GitWorkspaces, user_repo: UserRepo, tmp_path: Path) -> None:
    for number in range(3):
        user_repo.commit({"src/calc.py": f"{number}\n"})
    git(tmp_path, "clone", "-q", "--depth=1", user_repo.path.as_uri(), "shallow")
    repo = UserRepo(tmp_path / "shallow")
    assert "shallow" in await _warned(workspaces, repo)
    run = await _works(workspaces, repo)
    assert git(run.path, "rev-list", "--count", "HEAD") == "1"
    user_repo.git("fetch", "-q", str(repo.path), "mw/x:mw/x")  # its commits fit the whole history
    assert user_repo.git("rev-list", "--count", "mw/x") == "5"


async def test_sparse(workspaces: GitWorkspaces, user_repo: UserRepo) -> None:
    user_repo.commit({"left/out.txt": "1\n"})
    user_repo.git("sparse-checkout", "set", "src")
    assert not (user_repo.path / "left").exists()
    warned = await _warned(workspaces, user_repo)
    assert "sparse" in warned and "dirty" not in warned
    run = await _works(workspaces, user_repo)
    assert (run.path / "left" / "out.txt").read_text() == "1\n"
    assert not (user_repo.path / "left").exists(), "the person's checkout stays as it is"


async def test_lfs_pointers_are_files_and_are_said(
    workspaces: GitWorkspaces, user_repo: UserRepo, trap: tuple[str, Path]
) -> None:
    for verb in ("clean", "smudge", "process"):
        user_repo.git("config", f"filter.lfs.{verb}", "cat")
    user_repo.commit({".gitattributes": "*.psd filter=lfs diff=lfs merge=lfs -text\n", "big.psd": POINTER})
    for verb in ("clean", "smudge", "process"):
        user_repo.git("config", f"filter.lfs.{verb}", trap[0])
    assert "Git LFS" in await _warned(workspaces, user_repo)
    run = await Run(workspaces, user_repo).prepare()
    assert (run.path / "big.psd").read_text() == POINTER
    assert await run.snapshot() == run.base_tree


async def test_submodules_are_said(workspaces: GitWorkspaces, user_repo: UserRepo, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "library")
    UserRepo(tmp_path / "library").commit({"lib.py": "x\n"})
    for name in ("one", "two"):
        user_repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", f"{tmp_path}/library", name)
    user_repo.git("commit", "-q", "-m", "submodules")
    assert "2 submodules are not fetched" in await _warned(workspaces, user_repo)
    run = await _works(workspaces, user_repo)
    assert list((run.path / "one").iterdir()) == []


@pytest.mark.parametrize("checked_out", ["all", "sparse"])
async def test_partial(workspaces: GitWorkspaces, user_repo: UserRepo, tmp_path: Path, checked_out: str) -> None:
    user_repo.commit({"big.bin": os.urandom(10_000), "src/calc.py": "newer\n", "other/file": "1\n"})
    user_repo.commit({"big.bin": os.urandom(10_000)})
    user_repo.git("config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", user_repo.path.as_uri(), "partial")
    repo = UserRepo(tmp_path / "partial")
    if checked_out == "sparse":
        repo.git("sparse-checkout", "set", "src")
    repo.git("checkout", "-q", "main")
    assert "partial clone" in await _warned(workspaces, repo)
    if checked_out == "all":
        run = await _works(workspaces, repo)
        assert git(run.path, "rev-list", "--count", "HEAD") == "1"
    else:
        with pytest.raises(Exception, match="partial clone, and lacks files"):
            await _works(workspaces, repo)
