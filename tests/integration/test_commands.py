"""`millwright demo` and `run ...` as people use them: the whole stack, real git, the scripted model, real processes."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack.ports import any_free
from cli.stack.postgres import Postgres
from cli.stack.state import read_status
from pipelines import sample
from tests.support.scratch import scratch_folder
from tests.support.stack import Stack, stack

KEY = "sk-of-the-test"


@pytest.fixture(scope="module")
def running() -> Iterator[Stack]:
    ports = {name: any_free() for name in ("api", "temporal", "temporal_ui", "postgres")}
    with scratch_folder("commands") as folder, stack(folder / "state", folder, ports=ports) as made:
        done = made.millwright("up", more={"OPENAI_API_KEY": KEY})
        assert done.returncode == 0, done.stdout + done.stderr
        yield made


@pytest.fixture
def endpoint() -> Iterator[str]:
    """The demo's script behind a real socket, in OpenAI's wire format."""
    command = [sys.executable, "-m", "adapters.providers.scripted_server", "--script", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield str(json.loads(server.stdout.readline())["base_url"])
        finally:
            server.terminate()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    sample.make_sample_repository(tmp_path / "repo")
    return tmp_path / "repo"


def _start(stack: Stack, repo: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    required = ["--repo", str(repo), "--task", "Mend it", "--test-command", sample.TEST_COMMAND]
    return stack.millwright("run", "start", *required, *more)


def _git(repo: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=repo, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_demo_mends_the_sample_in_two_iterations_and_leaves_the_stack_up(running: Stack) -> None:
    done = running.millwright("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    for part in (
        "Iteration 1",
        "Iteration 2",
        "self-review (automated)",
        "test_nobody_is_off_by_a_whole_cent",
        "Verified: the verification passed on the final tree",
        "/ui/runs/",
        "The stack stays up",
    ):
        assert part in done.stdout, f"{part} is not in:\n{done.stdout}"
    branch = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("Branch"))
    repo = running.folder.path / "sample-repository"
    assert "by_fraction" in _git(repo, "show", f"{branch}:billsplit/split.py")
    assert "by_fraction" not in _git(repo, "show", "main:billsplit/split.py")
    assert len(_git(repo, "log", "--format=%h", f"main..{branch}").splitlines()) == 2
    assert running.serves()


def test_demo_runs_on_the_model_that_the_environment_names(running: Stack, endpoint: str) -> None:
    given = {"MILLWRIGHT_DEMO_MODEL": "openai:any-model", "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": endpoint}
    done = running.millwright("demo", more=given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "openai:any-model" in done.stdout
    assert "Verified" in done.stdout
    assert "unknown cost" in done.stdout
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"MILLWRIGHT_DEMO_MODEL": "gpt-5"}, "`gpt-5` is no model"),
        ({"MILLWRIGHT_DEMO_MODEL": "nobody:x"}, "NOBODY_API_KEY is not set"),
    ],
)
def test_demo_says_what_a_real_model_needs(running: Stack, given: dict[str, str], says: str) -> None:
    done = running.millwright("demo", more=given)
    assert done.returncode == 2
    assert says in done.stderr


def _allow(stack: Stack, *words: str) -> None:
    """As an admin of the local stack would."""
    status = read_status(stack.folder)
    assert status is not None
    server = Postgres(stack.folder.postgres, status.ports["postgres"])
    addresses = {"MILLWRIGHT_ADMIN_DATABASE_URL": server.admin_url(), "DATABASE_URL": server.app_url()}
    command = [sys.executable, "-m", "adapters.store", "migrate", *words]
    subprocess.run(command, env=os.environ | addresses, check=True, capture_output=True)


def test_a_provider_without_its_key_is_named_with_the_way_out(running: Stack, repo: Path) -> None:
    url = "http://127.0.0.1:9/v1"
    _allow(running, "--provider", "keyless", "--provider-url", url, "--provider-credential", "env:KEYLESS_KEY")
    done = _start(running, repo, "--model", "keyless:any", "--wait", "--json")
    assert done.returncode == 1, done.stdout + done.stderr
    run = json.loads(done.stdout)
    assert run["error"]["kind"] == "missing_credential"
    assert "`keyless:any` has no usable credential: The secret env:KEYLESS_KEY is missing" in run["error"]["message"]
    assert "Set KEYLESS_KEY in the environment of the worker" in run["error"]["hint"]
    assert len(run["phases"][0]["attempts"][0]["executions"]) == 1, "nothing is tried again in vain"
    shown = running.millwright("run", "show", run["id"]).stdout
    assert "What to do  Set KEYLESS_KEY" in shown
    credentials = json.loads(running.folder.credentials_file.read_text())
    asked = urllib.request.Request(f"{credentials['api_url']}/ui/runs/{run['id']}")
    asked.add_header("Authorization", f"Bearer {credentials['api_key']}")
    with urllib.request.urlopen(asked, timeout=30) as answer:
        page = answer.read().decode()
    assert "The secret env:KEYLESS_KEY is missing" in page
    assert "Set KEYLESS_KEY in the environment of the worker" in page


def test_start_wait_json_gives_the_run_as_it_ended(running: Stack, repo: Path) -> None:
    done = _start(running, repo, "--model", sample.MODEL, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout)
    assert (ended["status"], ended["outcome_kind"], ended["iterations"]) == ("SUCCEEDED", "verified", 2)
    assert "Iteration 2" in done.stderr
    shown = json.loads(running.millwright("run", "show", ended["id"], "--json").stdout)
    assert shown["outcome_kind"] == "verified"
    text = running.millwright("run", "show", ended["id"]).stdout
    assert "Verified" in text and ended["delivered_branch"] in text
    listed = json.loads(running.millwright("run", "list", "--json").stdout)
    assert ended["id"] in {run["id"] for run in listed["runs"]}
    assert ended["id"] in running.millwright("run", "list", "--status", "succeeded").stdout


def test_the_spec_change_pipeline_ends_verified_too(running: Stack, repo: Path) -> None:
    done = _start(running, repo, "--model", sample.MODEL, "--pipeline", "spec-change", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome_kind"] == "verified"


def test_a_pipeline_file_is_published_and_run_and_a_failed_run_ends_with_1(
    running: Stack, repo: Path, tmp_path: Path
) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "fix.md").write_text("{% include 'task.md' %}")
    (tmp_path / "prompts" / "task.md").write_text("{{ task.change | fenced('task') }}")
    (tmp_path / "once.yaml").write_text(
        "name: once\nphases:\n  - loop:\n      max_iterations: 1\n      phases:\n"
        "        - {name: fix, kind: model, prompt: prompts/fix.md, output: files}\n"
        "        - {name: verify, kind: command, workspace_command: test, verifies: true}\n"
    )
    done = _start(running, repo, "--model", sample.MODEL, "--pipeline", str(tmp_path / "once.yaml"), "--wait")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Failed: none of 1 iteration passed; the last one ended at verify" in done.stdout


def test_watch_as_json_gives_every_event_and_the_run(running: Stack, repo: Path) -> None:
    started = json.loads(_start(running, repo, "--model", sample.MODEL, "--json").stdout)
    done = running.millwright("run", "watch", started["run_id"], "--json", "--output")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["run"]["outcome_kind"] == "verified"
    assert [line["event"]["seq"] for line in lines if "event" in line] == sorted(
        {line["event"]["seq"] for line in lines if "event" in line}
    )
    assert any("FAILED" in line.get("output", "") for line in lines)


def test_cancel_ends_a_run_with_1(running: Stack, repo: Path) -> None:
    slow = ["--repo", str(repo), "--task", "x", "--model", sample.MODEL, "--test-command", "sleep 120"]
    started = json.loads(running.millwright("run", "start", *slow, "--json").stdout)
    cancelled = running.millwright("run", "cancel", started["run_id"], "--reason", "not wanted", "--json")
    assert cancelled.returncode == 0, cancelled.stderr
    done = running.millwright("run", "watch", started["run_id"])
    assert done.returncode == 1
    assert "Cancelled" in done.stdout
    again = running.millwright("run", "cancel", started["run_id"])
    assert again.returncode in (0, 2)


def test_the_same_idempotency_key_starts_one_run(running: Stack, repo: Path) -> None:
    given = ("--model", sample.MODEL, "--idempotency-key", f"key-{os.getpid()}", "--json")
    first, second = (json.loads(_start(running, repo, *given).stdout) for _ in range(2))
    assert first["run_id"] == second["run_id"]
    assert (first["repeated"], second["repeated"]) == (False, True)


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--repo", "/nowhere"], 2, "/nowhere"),
        (["--workspace", "none"], 2, "There is no workspace `none`"),
        (["--pipeline", "none"], 2, "There is no pipeline `none`"),
        (["--model", "unknown:x"], 4, "has no provider `unknown`"),
    ],
)
def test_what_cannot_run_is_refused_with_the_way_out(
    running: Stack, repo: Path, options: list[str], code: int, says: str
) -> None:
    given = {"--repo": str(repo), "--model": sample.MODEL, "--test-command": "true", "--task": "x"}
    if "--workspace" in options:
        del given["--repo"]
    given |= dict(zip(options[::2], options[1::2], strict=True))
    done = running.millwright("run", "start", *(word for pair in given.items() for word in pair))
    assert done.returncode == code
    assert says in done.stderr
    assert "→" in done.stderr


def test_an_unknown_run_and_a_wrong_key(running: Stack) -> None:
    unknown = "01900000-0000-7000-8000-000000000000"
    assert running.millwright("run", "show", unknown).returncode == 2
    done = running.millwright("run", "list", more={"MILLWRIGHT_API_KEY": "mw_wrong"})
    assert done.returncode == 2
    assert "unknown or revoked" in done.stderr
