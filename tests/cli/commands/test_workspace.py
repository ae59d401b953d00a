"""`millwright workspace`: the file of servers as people write it, and what is sent and shown."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.commands.server_file import read_servers
from cli.commands.workspace import app
from domain.errors import InvalidInput

GOOD = """mcp_servers:
  - name: docs
    command: [docs-server, --stdio]
    env: {API_KEY: "env:DOCS_KEY"}
    unsafe: false
  - name: tickets
    url: http://127.0.0.1:9000/mcp
    headers: {Authorization: "Bearer env:TICKETS"}
"""
FACTS: dict[str, Any] = {
    "workspace_id": "01890000-0000-7000-8000-000000000001",
    "name": "my shop",
    "repo_path": "/srv/shop",
    "test_command": "pytest -q",
    "env": {"MODE": "test"},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "servers.yaml"
    made.write_text(GOOD)
    return made


class Fake(BaseHTTPRequestHandler):
    """An API that knows one workspace and keeps what it is sent."""

    facts: dict[str, Any]

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        type(self).facts = {**type(self).facts, **(json.loads(self.rfile.read(length)) if length else {})}
        found = self.path == "/api/v1/workspaces/my%20shop"
        listed = self.path == "/api/v1/workspaces"
        problem = {"status": 404, "title": "Not Found", "detail": "There is no workspace `x`.", "hint": "List them."}
        body = json.dumps([type(self).facts] if listed else type(self).facts if found else problem).encode()
        self.send_response(200 if found or listed else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PATCH = _answer

    def log_message(self, format: str, *args: object) -> None:
        return None


@pytest.fixture
def millwright(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    handler = type("Handler", (Fake,), {"facts": FACTS})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("MILLWRIGHT_API_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MILLWRIGHT_API_KEY", "mw_x")
    monkeypatch.setenv("MILLWRIGHT_STATE_DIR", str(tmp_path / "state"))
    try:
        yield lambda *words: CliRunner().invoke(app, [str(word) for word in words])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_servers_are_set_and_shown_with_references_only(millwright: Any, file: Path) -> None:
    assert "Tool servers  none" in millwright("show", "my shop").output
    done = millwright("set", "my shop", "--mcp", file)
    assert done.exit_code == 0, done.output
    shown = millwright("show", "my shop").output
    assert "docs-server --stdio" in shown and "in the worktree" in shown
    assert "http://127.0.0.1:9000/mcp" in shown and "Bearer env:TICKETS" in shown and "outside" in shown
    facts = json.loads(millwright("show", "my shop", "--json").output)
    assert [server["name"] for server in facts["mcp_servers"]] == ["docs", "tickets"]
    assert "my shop  /srv/shop" in millwright("list").output
    file.write_text("mcp_servers: []\n")
    assert millwright("set", "my shop", "--mcp", file).exit_code == 0
    assert json.loads(millwright("list", "--json").output)[0]["mcp_servers"] == []


def test_nothing_to_change_and_an_unknown_workspace_end_with_2(millwright: Any) -> None:
    assert millwright("set", "my shop").exit_code == 2
    assert millwright("show", "nobody").exit_code == 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("env: {API_KEY", "enw: {API_KEY", ":4: mcp_servers.0.enw: unknown field"),
        ("name: docs", "nam: docs", "mcp_servers.0.name: is missing"),
        ("env:DOCS_KEY", "sk-very-secret", ":4: mcp_servers.0.env.API_KEY: MCP server `docs`: `API_KEY` looks like"),
        ("name: tickets", "name: docs", ":6: mcp_servers.1.name: Two servers"),
        ("    url: http", "    command: [x]\n    url: http", "exactly one of `command` and `url`"),
        ("mcp_servers:", "servers:", "mcp_servers: is missing"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line_and_no_value(file: Path, old: str, new: str, said: str) -> None:
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InvalidInput) as caught:
        read_servers(file)
    assert said in caught.value.message
    assert "sk-very-secret" not in caught.value.message


def test_the_same_file_as_json(tmp_path: Path) -> None:
    file = tmp_path / "servers.json"
    file.write_text('{"mcp_servers": [{"name": "docs", "command": ["docs-server"]}]}')
    assert [server.name for server in read_servers(file)] == ["docs"]


def test_models_are_sent_by_role_and_stage_and_shown(millwright: Any) -> None:
    words = ("set", "my shop", "--model", "context=scripted:small", "--model", "scripted:big")
    shown = millwright(*words)
    assert shown.exit_code == 0, shown.output
    assert "context=scripted:small default=scripted:big" in shown.output
    assert json.loads(millwright("show", "my shop", "--json").stdout)["models"] == {
        "context": "scripted:small",
        "default": "scripted:big",
    }
    assert json.loads(millwright("set", "my shop", "--no-models", "--json").stdout)["models"] == {}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--model", "coder=gpt"), "`gpt` is no model"),
        (("--model", "scripted:demo", "--no-models"), "Give one of them"),
        ((), "--no-models"),
    ],
)
def test_models_that_are_none_are_wrong_usage(millwright: Any, words: tuple[str, ...], says: str) -> None:
    refused = millwright("set", "my shop", *words)
    assert refused.exit_code == 2 and says in refused.output
