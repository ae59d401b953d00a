"""What a command sees under bubblewrap, and what leads out of it."""

import asyncio
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.sandbox.guarded import GuardedSandbox
from adapters.sandbox.toolchains import prefixes
from domain.errors import PhaseFailure
from domain.sandbox.ports import Command, NetworkAccess
from tests.adapters.sandbox.conftest import SEARCH_PATH, Bench, PlainRedactor


@pytest.fixture
def boxed(tmp_path: Path) -> Bench:
    sandbox = GuardedSandbox(PlainRedactor(), search_path=SEARCH_PATH)
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    made = Bench(sandbox, worktree)
    command = Command(argv=("true",), cwd=worktree, time_limit_seconds=1, stall_seconds=1)
    if not sandbox.protection(command).own_files:
        pytest.skip("bubblewrap is not on PATH, or may not make namespaces here")
    return made


@pytest.fixture
def listening() -> Iterator[tuple[int, Path]]:
    """A port and a Unix socket of ours, both of which greet."""
    folder = Path(tempfile.mkdtemp(prefix="mw-socket-"))
    folder.chmod(0o711)
    path = folder / "gateway"
    with socket.create_server(("127.0.0.1", 0)) as port, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        path.chmod(0o666)
        unix.listen()
        yield port.getsockname()[1], path
    path.unlink()
    folder.rmdir()


def _reach(port: int, path: Path) -> str:
    return f"""
import socket
for where in (socket.AF_INET, ("127.0.0.1", {port})), (socket.AF_UNIX, {str(path)!r}):
    try:
        with socket.socket(where[0]) as one:
            one.connect(where[1])
            print("reached", where[0].name)
    except OSError as error:
        print("no", where[0].name)
with socket.create_server(("127.0.0.1", 0)) as own:
    socket.create_connection(own.getsockname()).close()
    print("own loopback")
"""


async def test_without_a_network_only_the_given_socket_leads_out(boxed: Bench, listening: tuple[int, Path]) -> None:
    port, path = listening
    code = boxed.python(_reach(port, path))
    shared = await boxed.run(code)
    assert shared.output.splitlines() == ["reached AF_INET", "no AF_UNIX", "own loopback"]
    alone = await boxed.run(code, network=NetworkAccess.NONE)
    assert alone.output.splitlines() == ["no AF_INET", "no AF_UNIX", "own loopback"]
    given = await boxed.run(code, network=NetworkAccess.NONE, sockets=(path,))
    assert given.output.splitlines() == ["no AF_INET", "reached AF_UNIX", "own loopback"]


async def test_what_is_given_is_seen_and_not_changed(boxed: Bench, tmp_path: Path) -> None:
    given = tmp_path / "given"
    (given / "deep").mkdir(parents=True)
    (given / "deep" / "file").write_text("seen\n")
    script = f"cat {given}/deep/file; echo harmed > {given}/deep/file"
    assert (await boxed.run(script)).output.startswith("cat: ")
    assert "seen\n" in (await boxed.run(script, readable=(given, given / "deep" / "file"))).output
    assert (given / "deep" / "file").read_text() == "seen\n"


async def test_it_has_folders_of_its_own_to_write_to(boxed: Bench) -> None:
    script = (
        "set -e; for place in . $HOME $TMPDIR /tmp /var/tmp /dev/shm; do touch $place/x; rm $place/x; done; echo all"
    )
    assert (await boxed.run(script)).output == "all\n"
    with tempfile.NamedTemporaryFile(prefix="mw-ours-") as ours:
        result = await boxed.run(f"ls {ours.name}; echo mine > {ours.name}")
        assert result.exit_code == 0 and "No such file" in result.output
        assert Path(ours.name).read_bytes() == b""


async def test_a_python_of_the_search_path_works_with_its_libraries(boxed: Bench) -> None:
    result = await boxed.run(
        boxed.python("import sqlite3, ssl, multiprocessing; multiprocessing.Lock(); print('fine')")
    )
    assert result.output == "fine\n"


async def test_the_user_has_a_name_and_a_home(boxed: Bench) -> None:
    code = "import os, pwd; me = pwd.getpwuid(os.getuid()); print(me.pw_name, me.pw_dir == os.environ['HOME'])"
    result = await boxed.run(boxed.python(code))
    assert result.output == "millwright True\n" or not boxed.own_user


@pytest.mark.parametrize("cwd", ["/", "/usr", "/etc"])
async def test_a_folder_of_the_system_is_no_worktree(boxed: Bench, cwd: str) -> None:
    with pytest.raises(PhaseFailure, match="no folder to work in"):
        await boxed.run("true", cwd=Path(cwd))


async def test_a_worktree_may_lie_in_what_is_hidden_and_its_objects_are_seen(boxed: Bench, tmp_path: Path) -> None:
    worktrees = tmp_path / "state" / "workspaces"
    mine, objects = worktrees / "w" / "runs" / "mine", worktrees / "w" / "repo.git" / "objects"
    for folder in (mine / "below", objects, worktrees / "w" / "repo.git" / "refs"):
        folder.mkdir(parents=True)
    (objects / "one").write_text("object")
    (mine / "file").write_text("whole worktree")
    sandbox = GuardedSandbox(
        PlainRedactor(), search_path=SEARCH_PATH, worktrees=worktrees, hidden=(tmp_path / "state",)
    )
    bench = Bench(sandbox, mine / "below")
    result = await bench.run(f"cat ../file {objects}/one; ls {worktrees}/w/repo.git; touch {objects}/two ../new; true")
    assert result.output.startswith("whole worktreeobjectobjects\n")
    assert (mine / "new").exists() and not (objects / "two").exists()


def test_prefixes_follow_links_and_leave_homes_alone(tmp_path: Path) -> None:
    installed, venv, home = tmp_path / "python3", tmp_path / "project" / ".venv", tmp_path / "home"
    for folder in (installed / "bin", installed / "lib", venv / "bin", home / ".local" / "bin", home / ".local" / "lib",
                   home / ".local" / "share" / "keyrings", home / "bin", home / ".ssh", home / "lib"):  # fmt: skip
        folder.mkdir(parents=True)
    (venv / "pyvenv.cfg").touch()
    (installed / "bin" / "python").touch()
    (venv / "bin" / "python").symlink_to(installed / "bin" / "python")
    path = ":".join(str(each) for each in (venv / "bin", home / ".local" / "bin", home / "bin", tmp_path / "absent"))
    found = {Path(each) for each in prefixes(path) if each.startswith(str(tmp_path))}
    local = home / ".local"
    assert found == {venv, installed, local / "bin", local / "lib", home / "bin", home / "lib"}
    assert all(Path(each).is_dir() for each in prefixes(f"{path}:relative:{Path(sys.executable).parent}"))


async def test_many_at_a_time(boxed: Bench, tmp_path: Path) -> None:
    async def one(number: int) -> str:
        folder = tmp_path / str(number)
        folder.mkdir()
        return (await Bench(boxed.sandbox, folder).run("id -u; touch made")).output

    users = await asyncio.gather(*(one(number) for number in range(8)))
    assert len(set(users)) == (8 if boxed.own_user else 1)
