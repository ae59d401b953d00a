"""`doctor` names what is wrong and the way out, and no secret."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.stack import machine_checks
from cli.stack.ports import LOOPBACK, any_free
from cli.stack.postgres import Postgres
from cli.stack.settings import StackSettings
from cli.stack.state import StateFolder
from cli.stack.temporal import TemporalServer

SECRET = "not-to-be-seen-anywhere"


def doctor(folder: Path, **environment: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Exit code, checks by name, and all of the output."""
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), **environment}
    done = subprocess.run(
        [sys.executable, "-m", "cli", "doctor", "--json", "--state-dir", str(folder)],
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    report = json.loads(done.stdout)
    return done.returncode, {check["name"]: check for check in report["checks"]}, done.stdout


def test_a_machine_without_a_stack_is_fine(tmp_path: Path) -> None:
    code, checks, _ = doctor(tmp_path / "state folder")
    assert code == 0, checks
    assert checks["local stack"]["what_to_do"] == "start it: `millwright up`"
    assert checks["git"]["status"] == "ok"
    assert not (tmp_path / "state folder").exists(), "doctor changes nothing"


def test_what_is_missing_comes_with_a_way_out(tmp_path: Path) -> None:
    code, checks, _ = doctor(tmp_path / "state", PATH="/nowhere", TEMPORAL_CLI="/no/such")
    assert code == 3
    assert checks["git"] == {
        "name": "git",
        "status": "failed",
        "found": "not on PATH",
        "what_to_do": "install git 2.31 or newer",
    }
    assert checks["temporal program"]["status"] == "failed"
    assert all(check["what_to_do"] for check in checks.values() if check["status"] != "ok")


def test_credentials_are_found_or_missing_and_never_shown(tmp_path: Path) -> None:
    _, checks, output = doctor(
        tmp_path / "state", OPENAI_API_KEY=SECRET, MILLWRIGHT_PASS_ENV="MY_TOKEN_NAME", MY_TOKEN_NAME=SECRET
    )
    assert checks["env:OPENAI_API_KEY"]["found"] == "set"
    assert checks["env:MY_TOKEN_NAME"]["found"] == "set"
    assert checks["env:ANTHROPIC_API_KEY"]["status"] == "missing"
    assert SECRET not in output


def test_a_state_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "credentials.json").write_text("{}")
    (folder / "credentials.json").chmod(0o644)
    code, checks, _ = doctor(folder)
    assert code == 3
    assert "chmod 700" in checks["state folder"]["what_to_do"]
    assert "chmod 600" in checks["credentials.json"]["what_to_do"]


def test_a_taken_port_is_a_note(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, any_free()))
        other.listen()
        code, checks, _ = doctor(tmp_path / "state", MILLWRIGHT_API_PORT=str(other.getsockname()[1]))
    assert code == 0
    assert checks["port of api"]["status"] == "note"


def test_servers_of_ones_own_are_asked(
    tmp_path: Path, postgres_server: Postgres, temporal_server: TemporalServer
) -> None:
    code, checks, output = doctor(
        tmp_path / "state", DATABASE_URL=postgres_server.admin_url(), TEMPORAL_ADDRESS=temporal_server.address
    )
    assert code == 0, checks
    assert checks["PostgreSQL"]["found"].startswith("answers, version 18")
    assert "keeps closed workflows 30 days" in checks["Temporal"]["found"]
    assert postgres_server.identity.admin_password not in output


@pytest.mark.parametrize(
    ("variable", "name"),
    [("DATABASE_URL", "PostgreSQL"), ("TEMPORAL_ADDRESS", "Temporal")],
)
def test_servers_that_do_not_answer_are_named(tmp_path: Path, variable: str, name: str) -> None:
    port = any_free()
    value = f"{LOOPBACK}:{port}"
    url = f"postgresql://somebody:{SECRET}@{value}/it"
    code, checks, output = doctor(tmp_path / "state", **{variable: url if name == "PostgreSQL" else value})
    assert code == 3
    assert checks[name]["status"] == "failed"
    assert variable.split("_")[0] in checks[name]["what_to_do"]
    assert SECRET not in output


def test_data_of_a_removed_state_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_checks, "SHARED_FOLDER", tmp_path)
    owner = tmp_path / "state" / "postgres"
    owner.mkdir(parents=True)
    (owner / "identity.json").write_text("{}")
    (tmp_path / "data-1").mkdir()
    (tmp_path / "data-1" / "millwright-owner").write_text(str(owner))
    settings, folder = StackSettings(), StateFolder(tmp_path / "state")
    assert list(machine_checks.orphaned_data(settings, folder)) == []
    (owner / "identity.json").unlink()
    [check] = machine_checks.orphaned_data(settings, folder)
    assert (check.status, str(tmp_path / "data-1") in check.what_to_do) == ("note", True)


def test_a_person_reads_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cli", "doctor", "--state-dir", str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "✓ git" in done.stdout
    assert "→ start it: `millwright up`" in done.stdout
