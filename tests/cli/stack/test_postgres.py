"""The PostgreSQL driver: what a killed server, a stale pid and an interrupted set-up leave behind is no obstacle."""

import os
import shutil
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli.stack import postgres_binaries
from cli.stack.ports import any_free
from cli.stack.postgres import Postgres
from cli.stack.postgres_binaries import SHARED_FOLDER, binaries, others_can_enter
from cli.stack.process import read_record
from domain.errors import Unavailable
from tests.support.scratch import scratch_folder
from tests.support.waiting import wait_until

KEEP = "CREATE TABLE IF NOT EXISTS kept (word text); INSERT INTO kept VALUES ('still here')"


@pytest.fixture
def server() -> Iterator[Postgres]:
    with scratch_folder("driver") as folder:
        made = Postgres(folder / "a b" / "postgres", any_free(), fast=True, data_root=folder)
        with made.running():
            yield made


def words(server: Postgres) -> list[str]:
    with psycopg.connect(server.admin_url()) as connection:
        return [str(row[0]) for row in connection.execute("SELECT word FROM kept")]


def keep(server: Postgres) -> None:
    with psycopg.connect(server.admin_url()) as connection:
        connection.execute(KEEP)


def postmaster(server: Postgres) -> int:
    record = read_record(server.lock)
    assert record
    return record.pid


def test_data_outlives_a_restart(server: Postgres) -> None:
    keep(server)
    server.stop()
    assert not server.answers()
    server.start(tethered=True)
    assert words(server) == ["still here"]


def test_a_killed_server_starts_again(server: Postgres) -> None:
    keep(server)
    os.kill(postmaster(server), signal.SIGKILL)
    wait_until(lambda: read_record(server.lock) is None, what="the server gone")
    assert (server.data / "postmaster.pid").exists(), "a killed server leaves its pid file"
    wait_until(lambda: _starts(server), what="started again")
    assert words(server) == ["still here"]


def _starts(server: Postgres) -> bool:
    """Right after a kill the dead server's children may still be there; the supervisor tries again likewise."""
    try:
        server.start(tethered=True)
    except Unavailable:
        return False
    return True


def test_a_pid_file_that_names_somebody_else_is_no_obstacle(server: Postgres) -> None:
    """PostgreSQL itself refuses to start while that pid lives."""
    keep(server)
    server.stop()
    user = server.service().user
    with subprocess.Popen(["sleep", "600"], user=user, cwd="/") as stranger:
        pid_file = server.data / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{server.data}\n1\n{server.port}\n\n127.0.0.1\n0 0\nready\n")
        pid_file.chmod(0o666)
        server.start(tethered=True)
        assert words(server) == ["still here"]
        assert stranger.poll() is None
        stranger.kill()


def test_starting_a_running_server_changes_nothing(server: Postgres) -> None:
    before = postmaster(server)
    server.start()
    assert postmaster(server) == before


def test_many_starts_at_once_make_one_server() -> None:
    with scratch_folder("driver") as folder:
        port = any_free()
        servers = [Postgres(folder / "postgres", port, fast=True, data_root=folder) for _ in range(4)]
        threads = [threading.Thread(target=server.start) for server in servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        try:
            assert servers[0].answers()
            assert len([path for path in folder.iterdir() if path.name.startswith("data-")]) == 1
        finally:
            servers[0].stop()


def test_an_interrupted_set_up_is_begun_again() -> None:
    with scratch_folder("driver") as folder:
        server = Postgres(folder / "postgres", any_free(), fast=True, data_root=folder)
        server.folder.mkdir()
        server._write_identity()
        half_made = folder / f".new-{server.identity.cluster}"
        half_made.mkdir()
        (half_made / "PG_VERSION").write_text("18")
        with server.running():
            assert server.answers()
        assert not half_made.exists()


def test_two_servers_side_by_side_do_not_take_each_other_for_themselves(
    server: Postgres, postgres_server: Postgres
) -> None:
    stranger = Postgres(server.folder, postgres_server.port, data_root=server.data.parent)
    assert server.answers()
    assert not stranger.answers()


def test_passwords_are_for_the_owner_only(server: Postgres) -> None:
    assert stat.S_IMODE((server.folder / "identity.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    assert server.identity.admin_password not in server.log.read_text()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.admin_url().replace(server.identity.admin_password, "wrong"))


def test_only_tests_give_up_durability() -> None:
    settings = Postgres(Path("/nowhere"), 5432).settings
    assert (settings["fsync"], settings["synchronous_commit"], settings["full_page_writes"]) == ("on", "on", "on")
    assert settings["listen_addresses"] == "127.0.0.1"


def test_a_full_disk_or_wrong_port_is_told_with_the_end_of_the_log(postgres_server: Postgres) -> None:
    with scratch_folder("driver") as folder:
        server = Postgres(folder / "postgres", postgres_server.port, fast=True, data_root=folder)
        with pytest.raises(Unavailable, match="could not create any TCP/IP sockets") as raised:
            server.start()
        assert str(server.log) in raised.value.hint


def test_the_server_never_runs_as_root(server: Postgres) -> None:
    owner = Path(f"/proc/{postmaster(server)}").stat().st_uid
    assert owner != 0
    assert owner == os.geteuid() or os.geteuid() == 0


def test_binaries_can_be_executed_by_others_when_we_are_root() -> None:
    found = binaries()
    assert (found / "bin" / "postgres").exists()
    assert os.geteuid() != 0 or others_can_enter(found / "bin")


def test_binaries_under_a_closed_folder_are_copied_out(tmp_path: Path) -> None:
    """pytest's own folders are closed to others, as a home folder with mode 0700 is."""
    assert not others_can_enter(tmp_path)
    if os.geteuid() == 0:
        copy = postgres_binaries._copy_for_others(binaries())
        assert copy.parent == SHARED_FOLDER
        assert others_can_enter(copy / "bin")
        done = subprocess.run(
            [str(copy / "bin" / "postgres"), "--version"],
            user="nobody",
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith("postgres (PostgreSQL) 18")
        assert postgres_binaries._copy_for_others(binaries()) == copy
        assert not list(SHARED_FOLDER.glob(".copy-*"))
    else:
        assert binaries().name == postgres_binaries.INSTALL
    assert shutil.which(str(binaries() / "bin" / "initdb"))
