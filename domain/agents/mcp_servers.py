"""What a workspace may say of its MCP servers: the rules beyond the fields of McpServer, and what is a reference."""

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from domain.agents.tools import McpServer
from domain.errors import InvalidInput

MOST_SERVERS = 20
"""Of one workspace: each is started for every execution of an agent phase."""
_REFERENCE = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9-]* )?(?P<reference>(?:env:[A-Za-z_][A-Za-z0-9_]*|file:/[^\0]+))"
)
_SECRET_NAME = re.compile(r"auth|cookie|credential|key|passw|secret|token", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def reference_in(value: str) -> tuple[str, str] | None:
    """(what stands before it, reference) of `env:NAME`, `file:/path` or `Bearer env:NAME`; None for a plain value."""
    found = _REFERENCE.fullmatch(value)
    return (found["scheme"] or "", found["reference"]) if found else None


def check_servers(servers: Sequence[McpServer]) -> None:
    """Raises InvalidInput, which names the server and the field and repeats no value: it may be a secret."""
    if len(servers) > MOST_SERVERS:
        raise _wrong("mcp_servers", f"{len(servers)} servers are too many.", f"List at most {MOST_SERVERS}.")
    names: set[str] = set()
    for place, server in enumerate(servers):
        at = f"mcp_servers.{place}"
        if server.name in names:
            raise _wrong(f"{at}.name", f"Two servers have the name `{server.name}`.", "Give each a name of its own.")
        if "__" in server.name or server.name.endswith("_"):
            hint = "Its tools are named `<server>__<tool>`: use single underscores, and none at the end."
            raise _wrong(f"{at}.name", f"The name `{server.name}` would be ambiguous.", hint)
        names.add(server.name)
        problem = next(_problems(server), None)
        if problem is not None:
            field, message, hint = problem
            raise _wrong(f"{at}.{field}", f"MCP server `{server.name}`: {message}", hint)


def _problems(server: McpServer) -> Iterator[tuple[str, str, str]]:
    """(field, what is wrong, what to do)."""
    if server.command is not None:
        yield from _command_problems(server.command)
        if server.headers:
            yield "headers", "a command has no headers.", "Use `env`, or give a `url` instead of `command`."
    else:
        yield from _url_problems(server.url or "")
        if server.env:
            yield "env", "an address has no environment.", "Use `headers`, or give a `command` instead of `url`."
    yield from _value_problems("env", server.env, _VARIABLE_NAME)
    yield from _value_problems("headers", server.headers, _HEADER_NAME)


def _command_problems(command: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    if not command or not command[0]:
        yield "command", "the command is empty.", "Write the program and its words: `[npx, -y, some-server]`."
    if any("\0" in word for word in command):
        yield "command", "a word of the command holds a NUL character.", "Remove it."


def _url_problems(url: str) -> Iterator[tuple[str, str, str]]:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        yield "url", "the address cannot be read.", "Write one as http://127.0.0.1:8000/mcp."
        return
    if not usable or not url.isprintable() or " " in url:
        yield "url", "the address cannot be used.", "Write one as http://127.0.0.1:8000/mcp."
    if "@" in parts.netloc:
        yield "url", "the address holds a user or password.", "Use a header: `Authorization: Basic env:NAME`."


def _value_problems(field: str, values: Mapping[str, str], names: re.Pattern[str]) -> Iterator[tuple[str, str, str]]:
    for name, value in values.items():
        if not names.fullmatch(name):
            yield field, f"`{name}` is no name for {'a header' if field == 'headers' else 'a variable'}.", "Rename it."
        elif any(letter in value for letter in "\0\r\n"):
            yield f"{field}.{name}", "the value has a line break or NUL character.", "Write one line."
        elif _SECRET_NAME.search(name) and value and reference_in(value) is None:
            hint = "Write env:NAME or file:/absolute/path (`Bearer env:NAME` in a header); secrets are never stored."
            yield f"{field}.{name}", f"`{name}` looks like a secret, and its value is no reference.", hint


def _wrong(field: str, message: str, hint: str) -> InvalidInput:
    return InvalidInput(message, hint=hint, field=field)
