"""The user's repository is looked at, not touched; what cannot be used is refused with the way out."""

from pathlib import Path

import pytest

from adapters.workspace import GitWorkspaces
from domain.errors import InvalidInput
from tests.adapters.workspace.conftest import UserRepo, git


async def test_head_is_the_base(workspaces: GitWorkspaces, user_repo: UserRepo) -> None:
    base = await workspaces.inspect(str(user_repo.path))
    assert (base.commit, base.tree, base.branch, base.warnings) == (user_repo.head, user_repo.tree, "main", ())


async def test_a_bare_repository_is_fine(workspaces: GitWorkspaces, user_repo: UserRepo, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(user_repo.path), "bare.git")
    base = await workspaces.inspect(str(tmp_path / "bare.git"))
    assert (base.commit, base.warnings) == (user_repo.head, ())


async def test_detached_and_dirty_are_warnings(workspaces: GitWorkspaces, user_repo: UserRepo) -> None:
    user_repo.git("checkout", "-q", "--detach")
    (user_repo.path / "README.md").write_text("changed\n")
    (user_repo.path / "new.txt").write_text("new\n")
    base = await workspaces.inspect(str(user_repo.path))
    assert base.branch is None
    assert len(base.warnings) == 2
    assert "detached" in base.warnings[0]
    assert "1 changed, 1 untracked" in base.warnings[1]


async def test_nothing_is_written_and_nothing_of_it_is_run(
    workspaces: GitWorkspaces, user_repo: UserRepo, trap: tuple[str, Path]
) -> None:
    command, _ = trap
    user_repo.commit({".gitattributes": "*.md filter=evil\n"})
    user_repo.git("config", "core.fsmonitor", command)
    user_repo.git("config", "filter.evil.clean", command)
    user_repo.git("config", "filter.evil.process", command)
    user_repo.git("config", "filter.evil.required", "true")
    (user_repo.path / "README.md").write_text("SAMPLE\n")  # same size: git must compare the content
    before = user_repo.everything()
    base = await workspaces.inspect(str(user_repo.path))
    assert "1 changed" in base.warnings[0]
    assert user_repo.everything() == before


async def refused(workspaces: GitWorkspaces, path: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as error:
        await workspaces.inspect(path)
    assert error.value.field == "repo"
    assert error.value.hint
    return error.value


async def test_a_folder_that_is_not_git(workspaces: GitWorkspaces, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    error = await refused(workspaces, str(tmp_path / "plain"))
    assert f"{tmp_path}/plain is not a git repository" in error.message
    assert "git init" in error.hint


async def test_a_folder_inside_a_repository_names_the_repository(
    workspaces: GitWorkspaces, user_repo: UserRepo
) -> None:
    error = await refused(workspaces, str(user_repo.path / "src"))
    assert str(user_repo.path) in error.hint


async def test_an_empty_repository(workspaces: GitWorkspaces, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "empty")
    error = await refused(workspaces, str(tmp_path / "empty"))
    assert error.message.endswith("has no commit that a run could start from: fatal: bad revision 'HEAD'")
    assert "git commit" in error.hint


async def test_the_inside_of_a_repository_names_its_checkout(workspaces: GitWorkspaces, user_repo: UserRepo) -> None:
    error = await refused(workspaces, str(user_repo.path / ".git"))
    assert "git's own folder" in error.message
    assert error.hint == f"Give {user_repo.path}."
    assert "its checkout" in (await refused(workspaces, str(user_repo.path / ".git" / "objects"))).hint


@pytest.mark.parametrize(
    "path", ["relative/path", "", "/nonexistent/folder", "/with\0nul", "--upload-pack=x", "/" + "x" * 300]
)
async def test_what_is_no_folder(workspaces: GitWorkspaces, path: str) -> None:
    await refused(workspaces, path)


async def test_a_damaged_repository(workspaces: GitWorkspaces, user_repo: UserRepo) -> None:
    for name in (user_repo.path / ".git" / "objects").rglob("*"):
        if name.is_file():
            name.chmod(0o600)
            name.write_bytes(b"")
    await refused(workspaces, str(user_repo.path))
