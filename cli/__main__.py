"""`millwright`: every command is registered here, one line per family.

Exit codes: 0 ok, 1 a run failed, 2 wrong usage, 3 something is unreachable, 4 refused by policy.
"""

import os
import sys

import typer
from typer.exceptions import TyperException

from cli.commands import demo, pipeline, run, workspace
from cli.commands.failing import INTERRUPTED, tell, wrong_usage
from cli.stack import commands as stack

app = typer.Typer(
    name="millwright",
    help="Runs LLM and coding-agent pipelines as durable Temporal workflows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
stack.register(app)
app.command()(demo.demo)
app.add_typer(run.app)
app.add_typer(pipeline.app)
app.add_typer(workspace.app)


def main() -> None:
    """A command that asked Temporal may abort while the interpreter winds up (threads of the client's core): it leaves
    without that."""
    try:
        _command()
    except SystemExit as end:
        if "temporalio" not in sys.modules or not isinstance(end.code, int | None):
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code or 0)


def _command() -> None:
    if "--json" not in sys.argv:
        app()
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        sys.exit(INTERRUPTED)
    except TyperException as error:
        wrong = wrong_usage(error)
        tell(wrong, as_json=True)
        sys.exit(wrong.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
