"""The commands that touch the machine: `up`, `down`, `doctor`."""

import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from cli.commands.failing import UNREACHABLE, CommandError, tell
from cli.stack import down as down_module
from cli.stack import up as up_module
from cli.stack.credentials import read_credentials
from cli.stack.launch import become
from cli.stack.settings import StackSettings
from cli.stack.state import ProcessStatus, StackStatus, StateFolder
from domain.errors import MillwrightError

MARKS = {
    "ok": "[green]✓[/green]",
    "note": "[yellow]•[/yellow]",
    "missing": "[dim]-[/dim]",
    "failed": "[red]✗[/red]",
}
TITLES = {
    "postgres": "PostgreSQL",
    "migrate": "Migrations",
    "temporal": "Temporal",
    "worker": "Worker",
    "api": "API",
}

StateDir = Annotated[
    Path | None,
    typer.Option(
        help="State folder; default MILLWRIGHT_STATE_DIR, else ~/.local/state/millwright.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")]


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(down)
    app.command()(doctor)


def up(
    state_dir: StateDir = None,
    as_json: AsJson = False,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, and supervise in this process (for systemd and containers).")
    ] = False,
) -> None:
    """Start the local stack: PostgreSQL, Temporal, worker and API. Does nothing to what runs already."""
    settings, folder = _where(state_dir)
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    try:
        if foreground:
            if told := folder.create():
                console.print(escape(told))
            become(up_module.supervisor_service(settings, folder, console.print))
        with console.status("starting …"):
            outcome = up_module.bring_up(
                settings,
                folder,
                say=lambda text: console.print(escape(text)),
                watch=lambda name, process: _tell_change(console, name, process),
            )
    except (MillwrightError, OSError) as error:
        _fail(error, as_json=as_json)
    if as_json:
        typer.echo(outcome.status.model_dump_json(indent=2))
    else:
        _show(console, outcome.status, folder, was_running=outcome.was_running)


def down(state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """End every process of the local stack. What it stored stays."""
    _, folder = _where(state_dir)
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    ended: list[str] = []
    try:
        if folder.run.is_dir():
            with console.status("stopping …"), up_module.one_command_at_a_time(folder):
                ended = down_module.take_down(folder)
    except (MillwrightError, OSError) as error:
        _fail(error, as_json=as_json)
    if as_json:
        typer.echo(json.dumps({"state_dir": str(folder.path), "ended": ended}))
    else:
        console.print(f"ended: {', '.join(ended)}" if ended else f"nothing was running in {escape(str(folder.path))}")


def doctor(state_dir: StateDir = None, as_json: AsJson = False) -> None:
    """Say what is there, what is missing and what to do about it. Exit code 3 when something needed is missing."""
    from cli.stack.doctor import examine  # brings Temporal's client along: half a second that no other command pays

    settings, folder = _where(state_dir)
    console = Console(highlight=False, soft_wrap=True)
    report = examine(settings, folder)
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        for check in report.checks:
            console.print(f"{MARKS[check.status]} {check.name:<24} {escape(check.found)}")
            if check.what_to_do:
                console.print(f"  {'':<24} → {escape(check.what_to_do)}")
    if report.verdict == "failed":
        raise typer.Exit(UNREACHABLE)


def _where(state_dir: Path | None) -> tuple[StackSettings, StateFolder]:
    settings = StackSettings()
    if state_dir is not None:
        settings = settings.model_copy(update={"state_dir": state_dir})
    return settings, StateFolder(settings.state_folder)


def _tell_change(console: Console, name: str, process: ProcessStatus) -> None:
    title = f"{TITLES.get(name, name):<11}"
    if process.state in ("ready", "done"):
        took = f"{process.took_seconds:.1f} s" if process.took_seconds is not None else ""
        console.print(f"[green]✓[/green] {title} {escape(process.address or process.state):<28} {took}")
    elif process.state == "backoff" and process.problem:
        console.print(f"[yellow]![/yellow] {title} {escape(process.problem.splitlines()[0])}; starting it again")


def _show(console: Console, status: StackStatus, folder: StateFolder, *, was_running: bool) -> None:
    if was_running:
        console.print("already running")
    for name, usual in status.moved_ports.items():
        console.print(f"port {usual} is taken by another program: {name} is at {status.ports[name]}")
    console.print(f"Page         {status.api_url}/ui")
    if login := read_credentials(folder).get("login"):
        console.print(f"Login        {escape(str(login))}, password in {escape(str(folder.credentials_file))}")
    console.print(f"Temporal     {status.temporal_address}")
    if status.temporal_ui_url:
        console.print(f"Temporal UI  {status.temporal_ui_url}")
    console.print(f"State, logs  {escape(str(folder.path))}")


def _fail(error: MillwrightError | OSError, *, as_json: bool) -> NoReturn:
    hint = error.hint if isinstance(error, MillwrightError) else ""
    tell(CommandError(str(error), hint=hint, exit_code=UNREACHABLE), as_json=as_json)
    raise typer.Exit(UNREACHABLE)
