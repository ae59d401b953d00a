"""`millwright workspace ...`: show workspaces, and set what their agents may use."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from pydantic import RootModel
from rich.console import Console

from cli.commands.client import Api
from cli.commands.failing import USAGE, CommandError, told
from cli.commands.progress import clean
from cli.commands.server_file import read_servers
from cli.commands.settings import CommandSettings, find_target
from domain.agents.tools import McpServer
from domain.runs.ports import WorkspaceFacts

app = typer.Typer(name="workspace", help="Show and change workspaces.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, nothing else.")]
StateDir = Annotated[
    Path | None,
    typer.Option(help="State folder of the local stack, for its address and key.", show_default=False),
]
Name = Annotated[str, typer.Argument(help="Name or id of the workspace (`millwright workspace list` shows them).")]


class _Workspaces(RootModel[tuple[WorkspaceFacts, ...]]):
    pass


@app.command("list")
def list_workspaces(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """List the repositories that runs have named."""
    with told(as_json=as_json), _api(state_dir) as api:
        known = api.get("/api/v1/workspaces", _Workspaces)
        if as_json:
            typer.echo(known.model_dump_json(indent=2))
            return
        console = Console(highlight=False, soft_wrap=True)
        for facts in known.root:
            console.print(f"{clean(facts.name)}  {clean(facts.repo_path)}", markup=False)
        if not known.root:
            console.print("No workspaces. The first run on a repository makes one.", markup=False)


@app.command()
def show(name: Name, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Show one: repository, commands, environment, and the servers whose tools its agents may use."""
    with told(as_json=as_json), _api(state_dir) as api:
        _print(api.get(_path(name), WorkspaceFacts), as_json=as_json)


@app.command("set")
def change(
    name: Name,
    mcp: Annotated[
        Path | None,
        typer.Option(
            "--mcp",
            help="YAML or JSON file with `mcp_servers`: all of them, an empty list for none.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Change a workspace, for runs that start afterwards. Needs an admin's key."""
    with told(as_json=as_json):
        if mcp is None:
            raise CommandError("Nothing to change was given.", hint="Give --mcp FILE.", exit_code=USAGE)
        servers = [server.model_dump(mode="json") for server in read_servers(mcp)]
        with _api(state_dir) as api:
            _print(api.patch(_path(name), {"mcp_servers": servers}, WorkspaceFacts), as_json=as_json)


@contextmanager
def _api(state_dir: Path | None) -> Iterator[Api]:
    with Api(find_target(CommandSettings(), state_dir)) as api:
        yield api


def _path(name: str) -> str:
    return f"/api/v1/workspaces/{quote(name, safe='')}"


def _print(facts: WorkspaceFacts, *, as_json: bool) -> None:
    if as_json:
        typer.echo(facts.model_dump_json(indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    lines = {
        "Workspace": facts.name,
        "Repository": facts.repo_path,
        "Tests": facts.test_command or "none",
        "Set-up": facts.setup_command or "none",
        "Environment": " ".join(sorted(facts.env)) or "none",
        "Tool servers": "" if facts.mcp_servers else "none",
    }
    for label, value in lines.items():
        console.print(f"{label:<13} {clean(value)}".rstrip(), markup=False)
    for server in facts.mcp_servers:
        console.print(f"  {clean(_told(server))}", markup=False)


def _told(server: McpServer) -> str:
    given = [f"{name}={value}" for name, value in {**server.env, **server.headers}.items()]
    effects = "effects outside, never repeated by itself" if server.unsafe else "effects in the worktree"
    reached = server.url or " ".join(server.command or ())
    return f"{server.name}: {reached} ({'; '.join([effects, *given])})"
