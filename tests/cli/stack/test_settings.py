"""What a process of the stack gets from our environment, and that all of it is documented."""

from pathlib import Path

import pytest

from cli.stack.settings import StackSettings

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "PATH": "/usr/bin",
        "OPENAI_API_KEY": "a secret",
        "MY_COMPANY_SECRET": "another",
        "AWS_SECRET_ACCESS_KEY": "a third",
        "MILLWRIGHT_LOG_LEVEL": "DEBUG",
        "MILLWRIGHT_ADMIN_DATABASE_URL": "postgresql://owner",
        "MILLWRIGHT_API_KEY": "the command line's",
        "OTEL_SERVICE_NAME": "mine",
        "LD_PRELOAD": "/no",
        "PYTHONPATH": "/no",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)


def test_the_api_gets_no_credential_of_a_provider() -> None:
    got = StackSettings().inherited()
    assert got["PATH"] == "/usr/bin"
    assert (got["MILLWRIGHT_LOG_LEVEL"], got["OTEL_SERVICE_NAME"]) == ("DEBUG", "mine")
    unwanted = {"OPENAI_API_KEY", "MY_COMPANY_SECRET", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "PYTHONPATH"}
    assert not unwanted & got.keys()


def test_the_worker_gets_the_usual_credentials_and_those_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert StackSettings().inherited(worker=True)["OPENAI_API_KEY"] == "a secret"
    assert "MY_COMPANY_SECRET" not in StackSettings().inherited(worker=True)
    monkeypatch.setenv("MILLWRIGHT_PASS_ENV", "MY_COMPANY_SECRET, OTHER")
    assert StackSettings().inherited(worker=True)["MY_COMPANY_SECRET"] == "another"


@pytest.mark.parametrize("worker", [True, False])
def test_nobody_gets_the_owner_of_the_database_or_the_command_lines_key(worker: bool) -> None:
    got = StackSettings().inherited(worker=worker)
    assert not {"MILLWRIGHT_ADMIN_DATABASE_URL", "MILLWRIGHT_API_KEY"} & got.keys()


def test_the_state_folder_is_found_in_this_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("MILLWRIGHT_STATE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert StackSettings().state_folder == tmp_path / ".local" / "state" / "millwright"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert StackSettings().state_folder == tmp_path / "xdg" / "millwright"
    monkeypatch.setenv("MILLWRIGHT_STATE_DIR", str(tmp_path / "a b"))
    assert StackSettings().state_folder == tmp_path / "a b"


def test_every_variable_is_documented() -> None:
    text = (ROOT / "docs" / "stack.md").read_text()
    names = [str(field.validation_alias) for field in StackSettings.model_fields.values()]
    assert [name for name in names if f"`{name}`" not in text] == []
