"""`millwright run ...`: start, list, show, watch and cancel runs through the API."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console

from cli.commands.answers import Accepted
from cli.commands.client import Api
from cli.commands.failing import INTERRUPTED, exit_code_of_run, told
from cli.commands.follow import read
from cli.commands.settings import CommandSettings, find_target
from cli.commands.start_options import StartOptions
from cli.commands.tables import print_run, print_runs
from cli.commands.watching import print_end, watch_as_json, watch_on_screen
from domain.runs.views import RunPage
from domain.runs.words import RunStatus

app = typer.Typer(name="run", help="Start, list, show, watch and cancel runs.", no_args_is_help=True)

PIPE_WIDTH = 250
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, nothing else.")]
StateDir = Annotated[
    Path | None,
    typer.Option(help="State folder of the local stack, for its address and key.", show_default=False),
]
RunId = Annotated[UUID, typer.Argument(help="Id of the run (`millwright run list` shows them).")]
WithOutput = Annotated[bool, typer.Option("--output", help="Also print what commands and models print.")]


@app.command()
def start(
    task: Annotated[str | None, typer.Option(help="What is to be changed, in words.", show_default=False)] = None,
    task_file: Annotated[
        str | None,
        typer.Option(
            help="The same from a file: text, or YAML with hints; `-` reads standard input.", show_default=False
        ),
    ] = None,
    repo: Annotated[Path | None, typer.Option(help="Path of the git repository.", show_default=False)] = None,
    workspace: Annotated[
        str | None, typer.Option(help="A known workspace instead of --repo.", show_default=False)
    ] = None,
    pipeline: Annotated[str, typer.Option(help="Name, name@hash, or a YAML file.")] = "code-change",
    test_command: Annotated[
        str | None, typer.Option(help="Verifies the change, for example `pytest -q`.", show_default=False)
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="provider:model, or role=provider:model; may be given again.", show_default=False),
    ] = None,
    max_iterations: Annotated[int | None, typer.Option(help="Over the pipeline's.", show_default=False)] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Of the whole run.", show_default=False)] = None,
    max_cost: Annotated[str | None, typer.Option(help="Of the whole run, in US dollars.", show_default=False)] = None,
    max_time: Annotated[float | None, typer.Option(help="Of the whole run, in seconds.", show_default=False)] = None,
    priority: Annotated[int, typer.Option(help="1 (first) to 5.")] = 3,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key and options start one run only.", show_default=False)
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Watch it until it ends; the exit code tells how.")] = False,
    output: WithOutput = False,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Start a run of a pipeline on a task in a git repository."""
    with told(as_json=as_json):
        options = StartOptions(
            task=task,
            task_file=task_file,
            repo=repo,
            workspace=workspace,
            pipeline=pipeline,
            test_command=test_command,
            models=tuple(model or ()),
            max_iterations=max_iterations,
            max_tokens=max_tokens,
            max_cost=max_cost,
            max_seconds=max_time,
            priority=priority,
        )
        body = options.body()
        with _api(state_dir) as api:
            accepted = api.post("/runs", body, Accepted, key=idempotency_key)
            if as_json and not wait:
                typer.echo(accepted.model_dump_json(indent=2))
                return
            console = Console(stderr=as_json, highlight=False, soft_wrap=True)
            _say_accepted(console, api, accepted)
            if wait:
                _watch(api, console, accepted.run_id, with_output=output, json_at_end=as_json)
            else:
                console.print(f"Watch it: millwright run watch {accepted.run_id}", markup=False)


@app.command("list")
def list_runs(
    status: Annotated[RunStatus | None, typer.Option(case_sensitive=False, show_default=False)] = None,
    pipeline: Annotated[str | None, typer.Option(help="Name of a pipeline.", show_default=False)] = None,
    workspace: Annotated[str | None, typer.Option(help="Name of a workspace.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    cursor: Annotated[str | None, typer.Option(help="`next_cursor` of the page before.", show_default=False)] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """List runs, the newest first."""
    with told(as_json=as_json), _api(state_dir) as api:
        page = api.get(
            "/runs", RunPage, status=status, pipeline=pipeline, workspace=workspace, limit=limit, cursor=cursor
        )
        if as_json:
            typer.echo(page.model_dump_json(indent=2))
        else:
            filters = {"--status": status, "--pipeline": pipeline, "--workspace": workspace, "--cursor": cursor}
            chosen = " ".join(f"{name} {value}" for name, value in filters.items() if value is not None)
            print_runs(_table_console(), page, chosen=chosen)


@app.command()
def show(run_id: RunId, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Show one run: outcome, phases with their attempts, commits and errors."""
    with told(as_json=as_json), _api(state_dir) as api:
        view = read(api, run_id)
        if as_json:
            typer.echo(view.model_dump_json(indent=2))
        else:
            print_run(Console(highlight=False, soft_wrap=True), view, api.target.page(run_id))


@app.command()
def watch(run_id: RunId, output: WithOutput = False, as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Watch a run until it ends; the exit code tells how. With --json one JSON object a line."""
    with told(as_json=as_json), _api(state_dir) as api:
        if as_json:
            view = watch_as_json(api, run_id, with_output=output)
            raise typer.Exit(exit_code_of_run(view.status, view.outcome_kind))
        _watch(api, Console(highlight=False, soft_wrap=True), run_id, with_output=output, json_at_end=False)


@app.command()
def cancel(
    run_id: RunId,
    reason: Annotated[str, typer.Option(help="Kept with the request.")] = "",
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Ask a run to end. What runs now is ended too; nothing that was committed is lost."""
    with told(as_json=as_json), _api(state_dir) as api:
        accepted = api.post(f"/runs/{run_id}/cancel", {"reason": reason}, Accepted)
        if as_json:
            typer.echo(accepted.model_dump_json(indent=2))
        else:
            typer.echo(f"Cancel of run {run_id} is {accepted.status}.")


@contextmanager
def _api(state_dir: Path | None) -> Iterator[Api]:
    with Api(find_target(CommandSettings(), state_dir)) as api:
        yield api


def _table_console() -> Console:
    """As wide as the terminal; a pipe gets every column whole."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def _say_accepted(console: Console, api: Api, accepted: Accepted) -> None:
    again = " (this idempotency key was used before: the same run)" if accepted.repeated else ""
    console.print(f"Run   {accepted.run_id}{again}", markup=False)
    console.print(f"Page  {api.target.page(accepted.run_id)}", markup=False)
    for warning in accepted.warnings:
        console.print(f"Note  {warning}", markup=False, style="yellow")


def _watch(api: Api, console: Console, run_id: UUID, *, with_output: bool, json_at_end: bool) -> None:
    try:
        view = watch_on_screen(api, console, run_id, with_output=with_output)
    except KeyboardInterrupt:
        console.print(
            f"The run goes on. Watch it: millwright run watch {run_id}; end it: millwright run cancel {run_id}"
        )
        raise typer.Exit(INTERRUPTED) from None
    if json_at_end:
        typer.echo(view.model_dump_json(indent=2))
    else:
        print_end(console, view, api.target.page(run_id))
    raise typer.Exit(exit_code_of_run(view.status, view.outcome_kind))
