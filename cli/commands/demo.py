"""`millwright demo`: the whole stack and one real run on the bundled sample repository, watched to its end."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.commands.answers import Accepted
from cli.commands.client import Api
from cli.commands.demo_provider import allow
from cli.commands.failing import INTERRUPTED, exit_code_of_run, told
from cli.commands.settings import CommandSettings, Target, find_target
from cli.commands.watching import print_end, watch_on_screen
from cli.stack.commands import TITLES
from cli.stack.settings import StackSettings
from cli.stack.state import ProcessStatus, StackStatus, StateFolder
from cli.stack.up import bring_up
from domain.runs.messages import RunSettings, RunStart
from pipelines import sample


def demo(
    state_dir: Annotated[
        Path | None,
        typer.Option(
            help="State folder; default MILLWRIGHT_STATE_DIR, else ~/.local/state/millwright.", show_default=False
        ),
    ] = None,
) -> None:
    """Start the stack and watch one run mend the bundled sample repository. The stack stays up."""
    with told(as_json=False):
        stack = StackSettings()
        folder = StateFolder((state_dir or stack.state_folder).expanduser().absolute())
        stack = stack.model_copy(update={"state_dir": folder.path})
        console = Console(highlight=False, soft_wrap=True)
        status = _stack(console, stack, folder)
        settings = CommandSettings()
        model = settings.demo_model or sample.MODEL
        if settings.demo_model:
            allow(settings.demo_model, stack, folder, status)
        target = find_target(settings.model_copy(update={"api_url": status.api_url, "api_key": None}), folder.path)
        raise typer.Exit(_run(console, target, folder.path / "sample-repository", model))


def _stack(console: Console, settings: StackSettings, folder: StateFolder) -> StackStatus:
    def watch(name: str, process: ProcessStatus) -> None:
        if process.state in ("ready", "done"):
            took = f"   {process.took_seconds:.1f} s" if process.took_seconds is not None else ""
            console.print(f"✓ {TITLES.get(name, name):<11}{took}", markup=False)

    with console.status("starting the stack …"):
        outcome = bring_up(settings, folder, say=lambda text: console.print(text, markup=False), watch=watch)
    console.print(f"Pages       {outcome.status.api_url}/ui", markup=False)
    if outcome.status.temporal_ui_url:
        console.print(f"Temporal    {outcome.status.temporal_ui_url}", markup=False)
    return outcome.status


def _run(console: Console, target: Target, repo: Path, model: str) -> int:
    """Starts the run and watches it; the exit code by its outcome."""
    sample.make_sample_repository(repo)
    settings = RunSettings(model=model, test_command=sample.TEST_COMMAND)
    start = RunStart(task=sample.TASK, repo=str(repo), settings=settings)
    with Api(target) as api:
        accepted = api.post("/runs", start.model_dump(mode="json", exclude_none=True), Accepted)
        page = target.page(accepted.run_id)
        for what, value in (("Repository", repo), ("Task", sample.TASK.subject), ("Model", model), ("Page", page)):
            console.print(f"{what:<11} {value}", markup=False)
        console.print()
        try:
            view = watch_on_screen(api, console, accepted.run_id)
        except KeyboardInterrupt:
            console.print(f"The run goes on: {page}", markup=False)
            return INTERRUPTED
    print_end(console, view, page)
    console.print("The stack stays up; `millwright down` ends it.")
    return exit_code_of_run(view.status, view.outcome_kind)
