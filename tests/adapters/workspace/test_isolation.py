"""The user's own repository: read by nothing of its config, shared with nothing, changed by nothing before delivery."""

import os
import shlex
import shutil
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.workspace import GitWorkspaces
from adapters.workspace.git import Git, base_environment, served_by
from domain.errors import InvalidInput, PhaseFailure
from tests.adapters.workspace.conftest import Run, UserRepo, git

Trap = tuple[str, Path]


def _inodes(folder: Path) -> set[tuple[int, int]]:
    found = (path.lstat() for path in folder.rglob("*"))
    return {(each.st_dev, each.st_ino) for each in found if stat.S_ISREG(each.st_mode)}


async def _work(run: Run) -> str:
    """All that happens before a delivery, with an agent that uses the git of its worktree."""
    (run.path / "src/calc.py").write_text("fixed\n")
    git(run.path, "commit", "-q", "-a", "-m", "the agent's")
    git(run.path, "tag", "v9")
    git(run.path, "gc", "-q", "--prune=now")
    tree = await run.snapshot()
    await run.workspaces.packs.checkpoint(*run.ids, label="t1", known_tree=run.base_tree)
    await run.restore(run.base_tree)
    await run.restore(tree)
    await run.workspaces.commit(
        *run.ids, tree=tree, message="m", trailers={"Run": "1"}, branch="millwright/x", base_commit=run.base
    )
    return tree


async def test_nothing_is_shared_and_nothing_written_before_delivery(run: Run, state: Path) -> None:
    before = run.repo.everything()
    run.repo.git("pack-refs", "--all")
    before = run.repo.everything()
    await _work(run)
    assert run.repo.everything() == before
    assert not _inodes(run.repo.path) & _inodes(state), "no hard links"
    for alternates in state.rglob("alternates"):
        assert str(run.repo.path) not in alternates.read_text()
    for config in [*state.rglob("config"), *state.rglob("git.config")]:
        assert str(run.repo.path) not in config.read_text(), "no remote to push to"


async def test_a_repository_that_borrows_its_objects_is_copied_whole(
    workspaces: GitWorkspaces, user_repo: UserRepo, tmp_path: Path, state: Path
) -> None:
    git(tmp_path, "clone", "-q", "--shared", str(user_repo.path), "borrower")
    borrower = UserRepo(tmp_path / "borrower")
    borrower.commit({"more.txt": "1\n"})
    run = await Run(workspaces, borrower).prepare()
    user_repo.path.rename(tmp_path / "gone")
    tree = await _work(run)
    git(run.clone, "fsck", "--connectivity-only", tree)


@pytest.fixture(params=["include", "includeIf", "config.worktree", "plain"])
def planted(request: pytest.FixtureRequest, user_repo: UserRepo, tmp_path: Path, trap: Trap) -> UserRepo:
    """A repository whose own config would run a command in each way that git has for it."""
    command, _ = trap
    text = (
        f'[core]\n\tfsmonitor = "{command}"\n\thooksPath = "{tmp_path}/hooks"\n\tsshCommand = "{command}"\n'
        f'\tgitProxy = "{command}"\n\teditor = "{command}"\n\tpager = "{command}"\n'
        f'\talternateRefsCommand = "{command}"\n'
        f'[credential]\n\thelper = "!{command}"\n[gpg]\n\tprogram = "{command}"\n'
        f"[commit]\n\tgpgSign = true\n[tag]\n\tgpgSign = true\n[push]\n\tgpgSign = true\n"
        f'[diff]\n\texternal = "{command}"\n[interactive]\n\tdiffFilter = "{command}"\n'
        f'[filter "lfs"]\n\tclean = "{command}"\n\tsmudge = "{command}"\n\tprocess = "{command}"\n\trequired = true\n'
        f'[uploadpack]\n\tpackObjectsHook = "{command}"\n'
        f'[receive]\n\tprocReceiveRefs = refs\n[remote "origin"]\n\turl = "ext::{command}"\n'
        f'\tuploadpack = "{command}"\n\treceivepack = "{command}"\n\tproxy = "{command}"\n'
        f'[submodule "x"]\n\tupdate = "!{command}"\n[alias]\n\tstatus = "!{command}"\n\tlog = "!{command}"\n'
        f'[merge "evil"]\n\tdriver = "{command}"\n[sequence]\n\teditor = "{command}"\n'
        f'[url "ext::{command} "]\n\tinsteadOf = "/"\n'
    )
    user_repo.commit({".gitattributes": "* filter=lfs diff=evil merge=evil\n"})
    (hooks := tmp_path / "hooks").mkdir()
    for name in ("pre-receive", "update", "post-receive", "post-update", "reference-transaction", "proc-receive"):
        (hooks / name).write_text(Path(command).read_text())
        (hooks / name).chmod(0o755)
    (evil := tmp_path / "evil.config").write_text(text)
    config = user_repo.path / ".git" / "config"
    match request.param:
        case "include":
            added = f'[include]\n\tpath = "{evil}"\n'
        case "includeIf":
            added = f'[includeIf "gitdir:{user_repo.path}/"]\n\tpath = "{evil}"\n'
        case "config.worktree":
            added = "[extensions]\n\tworktreeConfig = true\n[core]\n\trepositoryformatversion = 1\n"
            (user_repo.path / ".git" / "config.worktree").write_text(text)
        case _:
            added = text
    with config.open("a") as file:
        file.write(added)
    return user_repo


async def test_no_config_of_the_users_repository_runs(workspaces: GitWorkspaces, planted: UserRepo) -> None:
    (planted.path / "src/calc.py").write_text("dirty\n")
    base = await workspaces.inspect(str(planted.path))
    assert any("dirty" in warning for warning in base.warnings)
    run = Run(workspaces, planted, base=base.commit)
    await run.workspaces.prepare(*run.ids, str(planted.path), base.commit)
    (run.path / "src/calc.py").write_text("fixed\n")
    tree = await run.snapshot()
    await run.workspaces.commit(
        *run.ids, tree=tree, message="m", trailers={"Run": "1"}, branch="millwright/x", base_commit=run.base
    )
    (planted.path / ".git" / "HEAD").write_text("ref: refs/heads/other\n")  # moved: it is looked at, too
    (planted.path / ".git" / "refs" / "heads" / "other").write_text(f"{base.commit}\n")
    try:
        await run.workspaces.deliver(*run.ids, branch="millwright/x", remote="origin", repo_path=str(planted.path))
    except PhaseFailure as failure:  # it may be refused (procReceiveRefs without its hook), never run
        assert failure.error.hint


@pytest.fixture
async def partial(workspaces: GitWorkspaces, user_repo: UserRepo, tmp_path: Path) -> AsyncIterator[UserRepo]:
    """A clone without the contents of files, as `git clone --filter=blob:none` makes it."""
    user_repo.commit({"big.bin": os.urandom(10_000), "src/calc.py": "newer\n"})
    user_repo.git("config", "uploadpack.allowFilter", "true")
    url = user_repo.path.as_uri()
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", url, "partial")
    yield UserRepo(tmp_path / "partial")


async def test_a_partial_clone_is_not_completed_by_its_own_commands(
    workspaces: GitWorkspaces, partial: UserRepo, trap: Trap
) -> None:
    """What it lacks would be fetched by commands of its config: it is refused, with the way out."""
    partial.git("config", "remote.origin.uploadpack", trap[0])
    head = partial.git("rev-parse", "HEAD")
    with pytest.raises((InvalidInput, PhaseFailure)) as refused:
        await workspaces.prepare(*Run(workspaces, partial).ids, str(partial.path), head)
    text = str(refused.value) + getattr(refused.value, "hint", "")
    assert "partial clone" in text
    assert "git fetch --refetch" in text or "checkout" in text


async def test_in_the_users_repository_git_connects_to_nowhere(partial: UserRepo, trap: Trap, state: Path) -> None:
    """Also a git that knows no GIT_NO_LAZY_FETCH (before 2.39.4 and 2.45)."""
    partial.git("config", "remote.origin.uploadpack", trap[0])
    binary = str(shutil.which("git"))
    environment = base_environment(binary, state / "git.config")
    del environment["GIT_NO_LAZY_FETCH"]
    ours = Git(binary, Path("/"), environment).in_repository(partial.path)
    lacking = partial.git("rev-parse", "HEAD:big.bin")
    assert ours.try_run("cat-file", "-e", lacking).code != 0
    assert shlex.split(served_by(binary, "upload-pack"))[:2] == ["env", "GIT_ALLOW_PROTOCOL=none"]


async def test_a_partial_clone_that_has_what_its_checkout_needs_is_fine(
    workspaces: GitWorkspaces, partial: UserRepo
) -> None:
    partial.git("-c", "protocol.file.allow=always", "checkout", "-q", "HEAD")
    run = await Run(workspaces, partial).prepare()
    assert (run.path / "src/calc.py").read_text() == "newer\n"
    (run.path / "src/calc.py").write_text("fixed\n")
    tree = await _work(run)
    assert run.content(tree, "src/calc.py") == "fixed"
