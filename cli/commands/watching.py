"""Watching a run to its end: on a screen, or as JSON lines."""

import json
from uuid import UUID

import typer
from rich.console import Console
from rich.text import Text

from cli.commands.client import Api
from cli.commands.follow import Changed, follow
from cli.commands.progress import Progress, ending, final_lines
from cli.commands.screen import screen
from domain.runs.views import RunView
from domain.runs.words import RunStatus


def watch_on_screen(api: Api, console: Console, run_id: UUID, *, with_output: bool = False) -> RunView:
    """Returns the run as it ended."""
    progress = Progress()
    view: RunView | None = None
    with screen(console, with_output=with_output) as shown:
        for tick in follow(api, run_id):
            if isinstance(tick, Changed):
                view = tick.view
                shown.show(progress.update(view), view)
            else:
                shown.output(tick)
    assert view is not None, "follow gives the run as it is first"
    return view


def watch_as_json(api: Api, run_id: UUID, *, with_output: bool) -> RunView:
    """One object a line: {"event": ...}, with `with_output` {"output": text}, and at the end {"run": ...}."""
    view: RunView | None = None
    for tick in follow(api, run_id):
        if isinstance(tick, Changed):
            view = tick.view
            if tick.event is not None:
                typer.echo(json.dumps({"event": tick.event}))
        elif with_output:
            typer.echo(json.dumps({"output": tick.text}))
    assert view is not None, "follow gives the run as it is first"
    typer.echo(json.dumps({"run": view.model_dump(mode="json")}))
    return view


def print_end(console: Console, view: RunView, page: str) -> None:
    """Outcome in one sentence, then commit, branch, use and page."""
    style = "bold green" if view.status is RunStatus.SUCCEEDED else "bold red"
    console.print()
    console.print(Text(ending(view), style=style))
    for what, value in final_lines(view, page):
        console.print(f"{what:<11} {value}", markup=False)
