import pytest

from domain.agents.mcp_servers import MOST_SERVERS, check_servers, reference_in
from domain.agents.tools import McpServer
from domain.errors import InvalidInput


def command(name: str = "files", *words: str, **env: str) -> McpServer:
    return McpServer(name=name, command=words or ("server",), env=env)


def remote(url: str = "http://127.0.0.1:8000/mcp", **headers: str) -> McpServer:
    return McpServer(name="remote", url=url, headers={n.replace("_", "-"): value for n, value in headers.items()})


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("env:TOKEN", ("", "env:TOKEN")),
        ("file:/run/secrets/token", ("", "file:/run/secrets/token")),
        ("Bearer env:TOKEN", ("Bearer ", "env:TOKEN")),
        ("env:", None),
        ("file:relative", None),
        ("plain", None),
        ("", None),
    ],
)
def test_what_is_a_reference(value: str, found: tuple[str, str] | None) -> None:
    assert reference_in(value) == found


def test_good_servers_pass() -> None:
    check_servers(
        [
            command("files", "npx", "-y", "server", MODE="fast", API_KEY="env:KEY"),
            remote("https://example.invalid/mcp?team=blue", Authorization="Bearer env:TOKEN", X_Team="blue"),
        ]
    )


@pytest.mark.parametrize(
    ("servers", "field"),
    [
        ([command(), command()], "mcp_servers.1.name"),
        ([command("a__b")], "mcp_servers.0.name"),
        ([command("a_")], "mcp_servers.0.name"),
        ([McpServer(name="a", command=())], "mcp_servers.0.command"),
        ([command("a", "")], "mcp_servers.0.command"),
        ([command("a", "x", "b\0")], "mcp_servers.0.command"),
        ([McpServer(name="a", command=("x",), headers={"A": "b"})], "mcp_servers.0.headers"),
        ([McpServer(name="a", url="http://127.0.0.1/", env={"A": "b"})], "mcp_servers.0.env"),
        ([McpServer(name="a", command=("x",), env={"A=B": "c"})], "mcp_servers.0.env"),
        ([remote("ftp://127.0.0.1/")], "mcp_servers.0.url"),
        ([remote("http:///mcp")], "mcp_servers.0.url"),
        ([remote("http://127.0.0.1:99999/mcp")], "mcp_servers.0.url"),
        ([remote("http://[::1/mcp")], "mcp_servers.0.url"),
        ([remote("http://user:word@127.0.0.1/mcp")], "mcp_servers.0.url"),
        ([remote("http://127.0.0.1/a b")], "mcp_servers.0.url"),
        ([McpServer(name="a", url="http://127.0.0.1/", headers={"A B": "c"})], "mcp_servers.0.headers"),
        ([remote(X_Team="two\r\nlines")], "mcp_servers.0.headers.X-Team"),
        ([remote(Authorization="Bearer sk-123")], "mcp_servers.0.headers.Authorization"),
        ([command("a", "x", GITHUB_TOKEN="ghp_123")], "mcp_servers.0.env.GITHUB_TOKEN"),
        ([command(f"s{number}") for number in range(MOST_SERVERS + 1)], "mcp_servers"),
    ],
)
def test_what_is_wrong_is_refused_by_field(servers: list[McpServer], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_servers(servers)
    assert caught.value.field == field
    assert caught.value.hint


def test_a_refused_secret_is_not_repeated() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_servers([command("a", "x", API_KEY="sk-very-secret")])
    assert "sk-very-secret" not in f"{caught.value.message} {caught.value.hint} {caught.value.field}"
