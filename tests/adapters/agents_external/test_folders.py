"""The folders of an agent: ours to give, its own to live in, and nothing in there is trusted."""

import os
from pathlib import Path

import pytest

from adapters.agents.folders import LocalAgentFolders
from domain.agents.external import AgentFolder
from domain.errors import PhaseFailure
from domain.pipelines.spec import AgentExecutor
from domain.runs.failure import ErrorKind

FOLDERS = LocalAgentFolders()


@pytest.fixture
def folder(tmp_path: Path) -> AgentFolder:
    found = FOLDERS.of(tmp_path / "run", AgentExecutor.CODEX)
    found.home.mkdir(parents=True)
    return found


async def test_only_what_was_given_last_is_there(folder: AgentFolder) -> None:
    await FOLDERS.give(folder, {"stdin": "one", "other": "x"})
    await FOLDERS.give(folder, {"stdin": "two \ud800"})
    assert {file.name: file.read_text() for file in folder.given.iterdir()} == {"stdin": "two ?"}


async def test_standard_error_is_its_end(folder: AgentFolder) -> None:
    folder.problems.write_bytes(b"x" * 5000 + b"\xff end")
    assert await FOLDERS.problems(folder, limit_bytes=6) == "x� end"


async def test_a_link_or_a_pipe_in_its_place_is_not_followed(folder: AgentFolder, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("do not show")
    folder.problems.symlink_to(secret)
    assert await FOLDERS.problems(folder, limit_bytes=100) == ""
    folder.problems.unlink()
    os.mkfifo(folder.problems)
    assert await FOLDERS.problems(folder, limit_bytes=100) == ""
    folder.problems.unlink()
    assert await FOLDERS.problems(folder, limit_bytes=100) == ""


async def test_a_folder_that_cannot_be_made_is_an_error_of_storage(tmp_path: Path) -> None:
    (tmp_path / "run.agent").write_text("a file in the way")
    with pytest.raises(PhaseFailure) as raised:
        await FOLDERS.give(FOLDERS.of(tmp_path / "run", AgentExecutor.CODEX), {"stdin": ""})
    assert raised.value.error.kind is ErrorKind.STORAGE
