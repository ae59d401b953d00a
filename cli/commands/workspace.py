"""`millwright workspace ...`: show workspaces, and set what their agents may use."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from pydantic import RootModel, TypeAdapter, ValidationError
from rich.console import Console

from cli.commands.client import Api
from cli.commands.failing import USAGE, CommandError, told
from cli.commands.progress import clean
from cli.commands.server_file import read_servers
from cli.commands.settings import CommandSettings, find_target
from cli.commands.start_options import read_models
from domain.agents.tools import McpServer
from domain.models.choice import ANY_ROLE
from domain.runs.messages import ModelName
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
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="role=provider:model or stage=provider:model, or provider:model for every other one; all of them.",
            show_default=False,
        ),
    ] = None,
    no_models: Annotated[bool, typer.Option("--no-models", help="It chooses no model any more.")] = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Change a workspace, for runs that start afterwards. Needs an admin's key."""
    with told(as_json=as_json):
        body: dict[str, Any] = {}
        if mcp is not None:
            body["mcp_servers"] = [server.model_dump(mode="json") for server in read_servers(mcp)]
        if model or no_models:
            body["models"] = _models(tuple(model or ()), no_models)
        if not body:
            raise CommandError(
                "Nothing to change was given.", hint="Give --mcp FILE, --model or --no-models.", exit_code=USAGE
            )
        with _api(state_dir) as api:
            _print(api.patch(_path(name), body, WorkspaceFacts), as_json=as_json)


def _models(given: tuple[str, ...], none: bool) -> dict[str, str]:
    if given and none:
        raise CommandError("--model and --no-models were given.", hint="Give one of them.", exit_code=USAGE)
    every_other, models = read_models(given)
    models |= {ANY_ROLE: every_other} if every_other else {}
    try:
        return TypeAdapter(dict[str, ModelName]).validate_python(models)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]["input"]
        raise CommandError(
            f"--model: `{wrong}` is no model; write provider:model, or role=provider:model.",
            field="models",
            exit_code=USAGE,
        ) from None


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
        "Models": " ".join(f"{key}={model}" for key, model in sorted(facts.models.items())) or "none",
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
