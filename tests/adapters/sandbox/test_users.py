"""A user for every command where root starts them without bubblewrap: the worktree is given to it and taken back.

Without root there is one user for all, and that is what is said.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.sandbox import users
from adapters.sandbox.guarded import GuardedSandbox
from adapters.sandbox.means import Mode
from adapters.workspace.folders import remove_folder
from domain.errors import PhaseFailure
from domain.sandbox.ports import Command, NetworkAccess
from tests.adapters.sandbox.conftest import SEARCH_PATH, Bench, PlainRedactor
from tests.adapters.sandbox.test_process_tree import _guards_above as guards_above

ROOT = os.geteuid() == 0
PROGRAMS = "/usr/bin:/bin"
"""What every user may run: the toolchains of a test run can lie in a closed home."""


class Worktrees:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "workspaces"
        self.mine = self.root / "w" / "runs" / "mine"
        self.mine.mkdir(parents=True)

    def bench(self, mode: Mode = "off") -> Bench:
        sandbox = GuardedSandbox(PlainRedactor(), search_path=PROGRAMS, bubblewrap_mode=mode, worktrees=self.root)
        return Bench(sandbox, self.mine)


@pytest.fixture
def passable() -> Iterator[Worktrees]:
    """Unlike pytest's own folders, one that other users can enter."""
    folder = Path(tempfile.mkdtemp(prefix="mw-users-"))
    folder.chmod(0o755)
    yield Worktrees(folder)
    remove_folder(folder)


def _gaps(bench: Bench) -> str:
    command = Command(argv=("true",), cwd=bench.cwd, time_limit_seconds=1, stall_seconds=1)
    return " ".join(bench.sandbox.protection(command).gaps)


async def test_a_command_of_roots_has_a_user_of_its_own(passable: Worktrees) -> None:
    bench = passable.bench()
    assert bench.own_user is ROOT
    (bench.cwd / "closed").write_text("mine to change")
    (bench.cwd / "closed").chmod(0o600)
    script = "id -u; id -g; id -G; ls -dn . | cut -d' ' -f3; cat /proc/self/status"
    said = (await bench.run(f"echo changed > closed; mkdir -m 0 d; touch new; {script}")).output.splitlines()
    assert len({said[0], said[1], said[2], said[3]}) == 1, "user, group, the only group, owner of the worktree"
    assert (int(said[0]) != os.geteuid()) is ROOT
    capabilities = {line.split()[1] for line in said if line.startswith(("CapEff", "CapPrm", "CapAmb", "CapInh"))}
    assert capabilities == {"0" * 16}
    assert (bench.cwd / "closed").read_text() == "changed\n"
    ours = {path.lstat().st_uid for path in (bench.cwd, *bench.cwd.iterdir())}
    assert ours == {os.geteuid()}, "ours again"


async def test_no_process_of_that_user_is_left(passable: Worktrees) -> None:
    bench = passable.bench()
    result = await bench.run("setsid env -i sleep 1000 </dev/null >/dev/null 2>&1 & sleep 0.2; id -u")
    assert result.exit_code == 0
    assert (int(result.output) in users.users_running()) is not ROOT


async def test_what_two_killed_guards_left_is_ended_by_its_user(passable: Worktrees) -> None:
    """It carries no mark, it left the session: only its user tells whose it is."""
    bench, lock = passable.bench(), passable.root / "lock"
    if not ROOT:
        assert not bench.own_user, "there is nothing that tells it apart"
        return
    script = "(setsid env -i sleep 1000 </dev/null >/dev/null 2>&1 &); id -u; echo ready; sleep 1000"
    running = asyncio.create_task(bench.run(script, lock=lock))
    await bench.until(lambda: "ready" in bench.heard)
    user = int(bench.heard.split()[0])
    guard, watcher = guards_above(bench)
    for pid in (watcher, guard):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(PhaseFailure):
        await running
    assert user in users.users_running()
    assert (await bench.run("echo mine", lock=lock)).exit_code == 0
    await bench.until(lambda: user not in users.users_running())


async def test_a_file_with_a_name_outside_is_not_given_away(passable: Worktrees) -> None:
    bench = passable.bench()
    outside = passable.root.parent / "outside"
    outside.write_text("ours")
    outside.chmod(0o644)
    (bench.cwd / "inside").hardlink_to(outside)
    (bench.cwd / "link").symlink_to(outside)
    await bench.run("echo harmed >> inside; echo harmed >> link; true")
    assert outside.stat().st_uid == os.geteuid()
    assert (outside.read_text() == "ours") is ROOT


@pytest.mark.parametrize("mode", ["off", "auto"])
async def test_a_set_user_id_bit_does_not_come_back_as_ours(passable: Worktrees, mode: Mode) -> None:
    """Where other users could come by and run it."""
    bench = passable.bench(mode)
    await bench.run("cp /usr/bin/id id; chmod 4755 id")
    assert bool((bench.cwd / "id").stat().st_mode & 0o4000) is not ROOT


async def test_a_worktree_that_no_other_user_can_enter_is_said(passable: Worktrees) -> None:
    bench = passable.bench()
    passable.root.chmod(0o700)
    assert not bench.own_user
    said = _gaps(bench)
    assert (f"Commands run as root: no other user can enter {passable.root}" in said) is ROOT
    assert ("Commands run as the same user as Millwright" in said) is not ROOT
    assert "turned off" in said and "network" in said
    assert (await bench.run("id -u")).output == f"{os.geteuid()}\n"


async def test_a_folder_that_is_none_of_ours_is_never_given_away(passable: Worktrees, tmp_path: Path) -> None:
    foreign = passable.root.parent / "foreign"
    foreign.mkdir()
    (foreign / "file").touch()
    bench = Bench(passable.bench().sandbox, foreign)
    assert not bench.own_user
    result = await bench.run("id -u; ls -n file | cut -d' ' -f3")
    assert result.output == f"{os.geteuid()}\n" * 2


@pytest.mark.parametrize("cwd", ["/", "/usr", "/etc", "/root/../etc"])
async def test_the_systems_folders_are_nobodys_worktree(passable: Worktrees, cwd: str) -> None:
    command = Command(argv=("true",), cwd=Path(cwd), time_limit_seconds=1, stall_seconds=1)
    assert not passable.bench().sandbox.protection(command).own_user


def test_two_never_have_the_same_user() -> None:
    span = users.span()
    if span is None:
        assert not ROOT or not Path("/proc/self/uid_map").exists()
        return
    taken = [users.take(*span) for _ in range(20)]
    try:
        assert len({user for user, _ in taken}) == 20
        with pytest.raises(OSError, match="no unprivileged user is free"):
            users.take(taken[0][0], 1)
    finally:
        for user, lock in taken:
            users.leave(user)
            os.close(lock)


def test_without_bubblewrap_where_it_must_be_commands_are_refused(tmp_path: Path) -> None:
    sandbox = GuardedSandbox(PlainRedactor(), search_path=SEARCH_PATH, bubblewrap_mode="off")
    asked = Command(argv=("true",), cwd=tmp_path, time_limit_seconds=1, stall_seconds=1, network=NetworkAccess.NONE)
    assert "reach the network" in str(sandbox._refusal(asked))
    assert "network" not in " ".join(sandbox.protection(asked).gaps)
