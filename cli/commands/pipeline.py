"""`millwright pipeline ...`: needs no server."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.commands.failing import USAGE
from pipelines import shipped
from pipelines.load import load_pipeline
from pipelines.problems import PipelineProblems

app = typer.Typer(name="pipeline", help="Check pipelines.", no_args_is_help=True)


@app.callback()
def family() -> None:
    """Check pipelines."""


@app.command()
def check(
    files: Annotated[list[str], typer.Argument(help="Pipeline files, or names of shipped pipelines.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output, nothing else.")] = False,
) -> None:
    """Read pipelines and say everything that is wrong, with file, line and field. Exit code 2 when something is."""
    console = Console(highlight=False, soft_wrap=True)
    known = shipped()
    answers: list[dict[str, object]] = []
    for name in files:
        file = Path(name) if Path(name).exists() or name not in known else known[name]
        try:
            pipeline = load_pipeline(file)
        except PipelineProblems as problems:
            found = [problem.model_dump(mode="json") for problem in problems.problems]
            answers.append({"file": str(file), "problems": found})
            for problem in () if as_json else problems.problems:
                console.print(str(problem), markup=False)
            continue
        phases = [phase.name for phase in pipeline.all_phases]
        version = pipeline.content_hash
        answers.append({"file": str(file), "problems": [], "name": pipeline.name, "hash": version, "phases": phases})
        if not as_json:
            console.print(f"✓ {file}: {pipeline.name}@{version[:12]} ({', '.join(phases)})", markup=False)
    if as_json:
        typer.echo(json.dumps({"files": answers}, indent=2))
    wrong = sum(bool(answer["problems"]) for answer in answers)
    if wrong:
        if not as_json:
            console.print(f"{wrong} of {len(answers)} not usable; every field is described in docs/pipelines.md")
        raise typer.Exit(USAGE)
