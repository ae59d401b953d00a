"""Reading for an agent: never outside of the worktree, never a dump of binary content, never without a cap."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.agent_tools.files import GitWorktreeFiles
from adapters.workspace import GitWorkspaces
from adapters.workspace.calls import GitCalls
from domain.errors import PhaseFailure
from domain.runs.failure import ErrorKind
from tests.adapters.workspace.conftest import Run, UserRepo, git

OUTSIDE = "secret of the machine"


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    folder = tmp_path / "user"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    repo = UserRepo(folder)
    repo.commit(
        {"src/a.py": "one\ntwo\nthree\n", "README.md": "# Read\n", "data.bin": b"\0\1\2", ".gitignore": "out/\n"}
    )
    workspaces = GitWorkspaces(tmp_path / "state" / "workspaces")
    made = await Run(workspaces, repo).prepare()
    (tmp_path / "outside.txt").write_text(OUTSIDE)
    yield made
    workspaces.close()


@pytest.fixture
def files(run: Run) -> GitWorktreeFiles:
    return GitWorktreeFiles(GitCalls(run.path.parents[2]))


async def test_a_file_is_read_and_a_long_one_is_cut(run: Run, files: GitWorktreeFiles) -> None:
    whole = await files.read(*run.ids, "src/a.py", limit_bytes=100)
    assert (whole.text, whole.cut) == ("one\ntwo\nthree\n", False)
    part = await files.read(*run.ids, "./src/a.py", limit_bytes=5)
    assert (part.text, part.cut, part.size_bytes) == ("one\n", True, 14), "whole lines"


async def test_binary_content_is_said_not_dumped(run: Run, files: GitWorktreeFiles) -> None:
    found = await files.read(*run.ids, "data.bin", limit_bytes=100)
    assert found.text is None and found.size_bytes == 3


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/etc/passwd", "absolute"),
        ("../../../../outside.txt", "leaves the repository"),
        ("src/../../../x", "leaves the repository"),
        (".git/config", ".git"),
        ("src/.GIT/config", ".git"),
        ("link.txt", "symbolic link"),
        ("linked/outside.txt", "symbolic link"),
        ("src", "folder"),
        ("none.py", "no such file"),
        ("README.md/x", "no folder"),
        ("", "no file name"),
        ("a\0b", "no file name"),
        ("\ud800", "Unicode"),
    ],
)
async def test_a_path_outside_is_refused_in_words(run: Run, files: GitWorktreeFiles, path: str, why: str) -> None:
    outside = run.path.parents[4]
    (run.path / "link.txt").symlink_to(outside / "outside.txt")
    (run.path / "linked").symlink_to(outside)
    with pytest.raises(PhaseFailure) as refused:
        await files.read(*run.ids, path, limit_bytes=100)
    assert refused.value.error.kind is ErrorKind.INVALID_OUTPUT
    assert why in refused.value.error.message


async def test_a_pipe_in_the_worktree_does_not_hang(run: Run, files: GitWorktreeFiles) -> None:
    os.mkfifo(run.path / "pipe")
    with pytest.raises(PhaseFailure):
        await files.read(*run.ids, "pipe", limit_bytes=100)


async def test_files_are_listed_without_ignored_ones(run: Run, files: GitWorktreeFiles) -> None:
    (run.path / "out").mkdir()
    (run.path / "out" / "made.py").write_text("x")
    (run.path / "new.py").write_text("x")
    found = await files.listing(*run.ids, "*", limit=100)
    assert found.lines == (".gitignore", "README.md", "data.bin", "new.py", "src/a.py")
    assert (await files.listing(*run.ids, "*.py", limit=1)) == found.model_copy(
        update={"lines": ("new.py",), "cut": True}
    )


async def test_a_search_finds_lines_of_new_files_too(run: Run, files: GitWorktreeFiles) -> None:
    (run.path / "new.py").write_text("zero\ntwo and more\n")
    (run.path / "link.txt").symlink_to(run.path.parents[4] / "outside.txt")
    found = await files.search(*run.ids, "^tw[o]", "*", limit=10)
    assert sorted(found.lines) == ["new.py:2:two and more", "src/a.py:2:two"]
    assert (await files.search(*run.ids, "two", "src/*", limit=10)).lines == ("src/a.py:2:two",)
    assert (await files.search(*run.ids, "nowhere", "*", limit=10)).lines == ()
    assert (await files.search(*run.ids, OUTSIDE, "*", limit=10)).lines == ()
    assert (await files.search(*run.ids, "t", "*", limit=1)).cut


@pytest.mark.parametrize(("pattern", "glob"), [("(", "*"), ("a\nb", "*"), ("two", "../*"), ("two", "/etc/*")])
async def test_what_git_cannot_search_is_refused_in_words(
    run: Run, files: GitWorktreeFiles, pattern: str, glob: str
) -> None:
    with pytest.raises(PhaseFailure) as refused:
        await files.search(*run.ids, pattern, glob, limit=10)
    assert refused.value.error.kind is ErrorKind.INVALID_OUTPUT


async def test_a_planted_configuration_is_not_read(run: Run, files: GitWorktreeFiles) -> None:
    (run.path / ".git" / "config").write_text("[core]\n\tbroken = [[[\n[diff\n")
    assert (await files.search(*run.ids, "two", "*", limit=10)).lines == ("src/a.py:2:two",)
    assert "README.md" in (await files.listing(*run.ids, "*", limit=10)).lines
