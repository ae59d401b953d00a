"""What an agent plants in its worktree is never run by our git, and never reaches the clone or the user."""

import shutil
from pathlib import Path

from adapters.workspace import GitWorkspaces
from tests.adapters.workspace.conftest import Run, UserRepo, git

Trap = tuple[str, Path]


def plant(repository: Path, command: str) -> None:
    """Everything in a repository that makes git run something, on `git add`, `status`, `checkout` and `commit`."""
    hooks = repository / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "post-index-change", "pre-commit", "reference-transaction", "pre-push", "update"):
        shutil.copy(command, hooks / name)
    with (repository / "config").open("a") as config:
        config.write(
            f'[core]\n\tfsmonitor = "{command}"\n\thooksPath = "{hooks}"\n\tsshCommand = "{command}"\n'
            f'[filter "evil"]\n\tclean = "{command}"\n\tsmudge = "{command}"\n\tprocess = "{command}"\n'
            f'[diff]\n\texternal = "{command}"\n[diff "evil"]\n\ttextconv = "{command}"\n\tcommand = "{command}"\n'
        )


async def whole_life(run: Run) -> None:
    (run.path / ".gitattributes").write_text("* filter=evil diff=evil\n")
    (run.path / "src/calc.py").write_text("fixed\n")
    tree = await run.snapshot()
    await run.workspaces.diff(*run.ids, run.base_tree, tree, limit_bytes=10_000)
    await run.restore(run.base_tree)
    await run.restore(tree)
    await run.workspaces.commit(
        *run.ids, tree=tree, message="m", trailers={"Run": "1"}, branch="millwright/x", base_commit=run.base
    )
    await run.workspaces.deliver(*run.ids, branch="millwright/x", remote="origin", repo_path=str(run.repo.path))


async def test_in_the_git_folder_of_the_worktree(run: Run, trap: Trap) -> None:
    plant(run.path / ".git", trap[0])
    await whole_life(run)


async def test_in_the_clone_itself(run: Run, trap: Trap) -> None:
    plant(run.clone, trap[0])
    elsewhere = run.path.parent / "elsewhere"
    shutil.copytree(run.clone, elsewhere)
    (run.clone / "commondir").write_text(f"{elsewhere}\n")
    await whole_life(run)
    assert "evil" not in (run.clone / "config").read_text()


async def test_in_the_configuration_file_of_our_git(run: Run, trap: Trap, state: Path) -> None:
    (state / "git.config").write_text(f'[core]\n\tfsmonitor = "{trap[0]}"\n\tsshCommand = "{trap[0]}"\n')
    await whole_life(run)
    assert "safe" in (state / "git.config").read_text()


async def test_in_the_repository_of_the_user(workspaces: GitWorkspaces, user_repo: UserRepo, trap: Trap) -> None:
    plant(user_repo.path / ".git", trap[0])
    for hook in ("pre-receive", "post-receive", "post-update"):
        shutil.copy(trap[0], user_repo.path / ".git" / "hooks" / hook)
    await whole_life(await Run(workspaces, user_repo).prepare())
    assert user_repo.git("-c", "core.fsmonitor=false", "branch", "--list", "millwright/*") == "millwright/x"


async def test_a_git_file_that_leads_elsewhere_is_replaced(run: Run, trap: Trap, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "evil.git")
    plant(tmp_path / "evil.git", trap[0])
    shutil.rmtree(run.path / ".git")
    (run.path / ".git").write_text(f"gitdir: {tmp_path}/evil.git\n")
    await whole_life(run)
    (run.path / "more.txt").write_text("x")
    await run.restore(run.base_tree)
    assert (run.path / ".git").is_dir()


async def test_files_of_a_nested_repository_are_files_of_the_tree(run: Run, trap: Trap) -> None:
    for name in ("with-commit", "empty-one", "deep/er"):
        nested = run.path / name
        nested.mkdir(parents=True)
        git(nested, "init", "-q")
        (nested / "file.txt").write_text("1\n")
        (nested / "skip.pyc").write_text("ignored by the outer rules\n")
        (nested / ".gitignore").write_text("own.log\n")
        (nested / "own.log").write_text("ignored by its own rules\n")
    git(run.path / "with-commit", "add", "-A")
    git(run.path / "with-commit", "commit", "-q", "-m", "inside")
    inner = run.path / "with-commit/inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "deepest.txt").write_text("2\n")
    for repository in (run.path / "with-commit/.git", run.path / "empty-one/.git", inner / ".git"):
        plant(repository, trap[0])
    tree = await run.snapshot()
    expected = {
        f"{name}/{file}" for name in ("with-commit", "empty-one", "deep/er") for file in ("file.txt", ".gitignore")
    }
    assert set(run.files(tree)) - set(run.files(run.base_tree)) == {*expected, "with-commit/inner/deepest.txt"}
    (run.path / "with-commit/file.txt").write_text("changed\n")
    again = await run.snapshot()
    assert run.content(again, "with-commit/file.txt") == "changed"
    await run.restore(run.base_tree)
    assert not (run.path / "with-commit").exists()
    assert not (run.path / "empty-one").exists()
    await run.restore(again)
    assert await run.snapshot() == again


async def test_a_nested_repository_with_nothing_to_keep(run: Run, trap: Trap) -> None:
    nested = run.path / "scratch"
    nested.mkdir()
    git(nested, "init", "-q")
    git(nested, "commit", "-q", "--allow-empty", "-m", "nothing")
    plant(nested / ".git", trap[0])
    assert await run.snapshot() == run.base_tree
    assert await run.snapshot() == run.base_tree


async def test_a_submodule_keeps_its_pointer_and_is_not_looked_into(
    workspaces: GitWorkspaces, user_repo: UserRepo, tmp_path: Path, trap: Trap
) -> None:
    git(tmp_path, "init", "-q", "library")
    library = UserRepo(tmp_path / "library")
    pointer = library.commit({"lib.py": "x\n"})
    user_repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library.path), "vendor/lib")
    user_repo.git("commit", "-q", "-m", "submodule")
    run = await Run(workspaces, user_repo).prepare()
    assert run.files(await run.snapshot())["vendor/lib"] == f"160000 commit {pointer}"
    git(run.path / "vendor", "clone", "-q", str(library.path), "lib")
    plant(run.path / "vendor/lib/.git", trap[0])
    git(
        run.path / "vendor/lib",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.hooksPath=/dev/null",
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "moved on",
    )
    (run.path / "vendor/lib/lib.py").write_text("changed\n")
    (run.path / "src/calc.py").write_text("fixed\n")
    tree = await run.snapshot()
    assert run.files(tree)["vendor/lib"] == f"160000 commit {pointer}"
    await run.restore(run.base_tree)
    await run.restore(tree)
    assert await run.snapshot() == tree
    (run.path.parent / f"{run.run_id}.index").unlink()
    assert await run.snapshot() == tree


async def test_commands_in_the_worktree_have_a_git_of_their_own(run: Run) -> None:
    run.repo.git("tag", "v1.0")
    tagged = await Run(run.workspaces, run.repo).prepare()
    assert git(tagged.path, "describe", "--tags") == "v1.0"
    assert git(tagged.path, "status", "--porcelain") == ""
    (tagged.path / "src/calc.py").write_text("fixed\n")
    git(tagged.path, "commit", "-q", "-a", "-m", "the agent's own commit")
    git(tagged.path, "update-ref", "-d", "HEAD")
    tree = await tagged.snapshot()
    assert tagged.content(tree, "src/calc.py") == "fixed"
    await tagged.restore(tagged.base_tree)
    assert git(tagged.path, "rev-parse", "HEAD") == tagged.base
    assert git(tagged.path, "status", "--porcelain") == ""
    assert git(tagged.clone, "for-each-ref", "--format=%(refname)", "refs/heads") == ""
