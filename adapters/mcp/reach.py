"""How a server of a workspace is reached: its command in the sandbox, or its address."""

import math
from functools import partial
from pathlib import Path

from adapters.mcp.http_link import HttpLink
from adapters.mcp.links import Link
from adapters.mcp.pipe_link import PipeLink
from adapters.mcp.references import resolved
from adapters.sandbox.toolchains import prefixes
from domain.agents.tools import McpServer, ToolPlace
from domain.sandbox.ports import Command, Sandbox
from domain.secrets import SecretResolver


def link_to(server: McpServer, place: ToolPlace, sandbox: Sandbox, secrets: SecretResolver) -> Link:
    """A new connection. Raises PhaseFailure (`missing_credential`)."""
    if server.url is not None:
        return HttpLink(server.url, resolved(server.headers, secrets))
    assert server.command is not None
    return PipeLink(partial(sandbox.open, _command(server, server.command, place, secrets)))


def _command(server: McpServer, argv: tuple[str, ...], place: ToolPlace, secrets: SecretResolver) -> Command:
    """Without limit of time or silence: it lives as long as the execution, and only its calls are bounded."""
    return Command(
        argv=argv,
        cwd=place.worktree,
        env={**place.env, **resolved(server.env, secrets)},
        time_limit_seconds=math.inf,
        stall_seconds=math.inf,
        # beside the worktree's own lock, which the agent's commands take one after the other meanwhile
        lock=place.worktree.with_name(f"{place.worktree.name}.mcp-{server.name}"),
        readable=_beside_the_worktree(argv),
    )


def _beside_the_worktree(argv: tuple[str, ...]) -> tuple[Path, ...]:
    """What a program that is named by its whole path needs to run, and files that the command names like that."""
    program = argv[0]
    folders = prefixes(str(Path(program).parent)) if program.startswith("/") else ()
    files = (word for word in argv[1:] if word.startswith("/") and Path(word).is_file() and not Path(word).is_symlink())
    return tuple(map(Path, (*folders, *files)))
