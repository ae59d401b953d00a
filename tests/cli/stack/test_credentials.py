"""The key is printed once by the migrations and kept; later starts only renew the address."""

import json
import stat
from pathlib import Path

from cli.stack.credentials import keep_credentials, read_credentials
from cli.stack.state import StateFolder

FIRST = (
    '{"event": "x"}\n{"event": "store.migrated", "login": "admin", "api_key": "k", "password": "p", "revision": "1"}\n'
)
LATER = '{"event": "store.migrated", "login": "admin", "api_key": null, "password": null}\nnot json\n'


def test_a_key_outlives_later_starts(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    assert read_credentials(folder) == {}
    keep_credentials(folder, "http://127.0.0.1:1", FIRST)
    keep_credentials(folder, "http://127.0.0.1:2", LATER)
    kept = {"login": "admin", "api_key": "k", "password": "p", "api_url": "http://127.0.0.1:2"}
    assert json.loads(folder.credentials_file.read_text()) == kept
    assert stat.S_IMODE(folder.credentials_file.stat().st_mode) == 0o600


def test_a_damaged_file_is_no_credentials(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.credentials_file.write_text('{"api_key": ')
    assert read_credentials(folder) == {}
