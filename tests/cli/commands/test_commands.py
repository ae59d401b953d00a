"""The commands as people and scripts start them: real processes, with no server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def millwright(*arguments: str, state: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath, "HOME": str(state), "MILLWRIGHT_STATE_DIR": str(state), **env}
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.yaml"
    file.write_text("name: mine\nphases:\n  - {name: a, kind: comand, command: x}\n")
    return file


def test_pipeline_check_says_what_is_wrong_and_ends_with_2(tmp_path: Path, bad: Path) -> None:
    done = millwright("pipeline", "check", "code-change", str(bad), state=tmp_path)
    assert done.returncode == 2
    assert "✓" in done.stdout and "code-change@" in done.stdout
    assert f"{bad}:3: phases.0: unknown kind `comand`; did you mean `command`" in done.stdout
    assert millwright("pipeline", "check", "code-change", state=tmp_path).returncode == 0


def test_pipeline_check_as_json(tmp_path: Path, bad: Path) -> None:
    done = millwright("pipeline", "check", "code-change", str(bad), "--json", state=tmp_path)
    good, wrong = json.loads(done.stdout)["files"]
    assert good["name"] == "code-change" and good["problems"] == [] and len(good["hash"]) == 64
    assert wrong["problems"][0]["line"] == 3
    assert done.returncode == 2


def test_without_a_stack_commands_say_how_to_get_one(tmp_path: Path) -> None:
    done = millwright("run", "list", state=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "`millwright up`" in done.stderr
    done = millwright("run", "list", "--json", state=tmp_path)
    assert json.loads(done.stderr)["error"]["exit_code"] == 3


def test_an_api_that_does_not_answer(tmp_path: Path) -> None:
    done = millwright("run", "list", state=tmp_path, MILLWRIGHT_API_URL="http://127.0.0.1:1")
    assert done.returncode == 3
    assert "http://127.0.0.1:1 does not answer" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "start"],
        ["run", "start", "--task", "x", "--model", "y"],
        ["run", "show", "abc"],
        ["run", "fly"],
        ["pipeline"],
    ],
)
def test_wrong_usage_ends_with_2(tmp_path: Path, arguments: list[str]) -> None:
    assert millwright(*arguments, state=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message", "field"),
    [
        (
            ["run", "start", "--task", "x", "--max-tokens", "abc", "--json"],
            "Invalid value for '--max-tokens'",
            "max_tokens",
        ),
        (["run", "show", "abc", "--json"], "Invalid value for 'run_id'", "run_id"),
        (["run", "list", "--limit", "1000", "--json"], "Invalid value for '--limit'", "limit"),
        (["run", "list", "--nope", "--json"], "No such option: --nope", None),
        (["run", "fly", "--json"], "No such command 'fly'", None),
    ],
)
def test_wrong_usage_with_json_is_one_json_object(
    tmp_path: Path, arguments: list[str], message: str, field: str | None
) -> None:
    done = millwright(*arguments, state=tmp_path)
    error = json.loads(done.stderr)["error"]
    assert (done.returncode, done.stdout, error["exit_code"], error["field"]) == (2, "", 2, field)
    assert error["message"].startswith(message)
    assert "--help` shows every option" in error["hint"]


def test_a_stack_that_cannot_be_started_is_told_as_json(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = millwright("up", "--json", "--state-dir", str(tmp_path / "file" / "state"), state=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert json.loads(done.stderr)["error"]["exit_code"] == 3


def test_the_local_key_goes_to_the_local_address_only(tmp_path: Path) -> None:
    from cli.commands.settings import CommandSettings, find_target

    (tmp_path / "credentials.json").write_text(json.dumps({"api_url": "http://127.0.0.1:8642", "api_key": "mw_local"}))
    settings = CommandSettings.model_construct(api_url=None, api_key=None, demo_model=None)
    assert find_target(settings, tmp_path).api_key == "mw_local"
    elsewhere = settings.model_copy(update={"api_url": "https://millwright.example"})
    assert find_target(elsewhere, tmp_path).api_key is None
    named = elsewhere.model_copy(update={"api_key": "mw_named"})
    assert find_target(named, tmp_path).api_key == "mw_named"
