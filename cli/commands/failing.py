"""How a command fails: one message, what to do, and an exit code that scripts can act on (docs/cli.md)."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape
from typer.exceptions import TyperException

from domain.errors import Forbidden, MillwrightError, Unavailable
from domain.runs.words import OutcomeKind, RunStatus

OK = 0
RUN_FAILED = 1
USAGE = 2
UNREACHABLE = 3
REFUSED = 4
INTERRUPTED = 130

EXIT_CODE_OF_HTTP = {403: REFUSED, 429: UNREACHABLE}
"""Others: 4xx is USAGE, 5xx is UNREACHABLE."""
EXIT_CODE_OF_OUTCOME = {OutcomeKind.POLICY_BLOCKED: REFUSED, OutcomeKind.INVALID_INPUT: USAGE}
"""Others: RUN_FAILED, unless the run succeeded."""


class CommandError(Exception):
    """Ends a command. `hint` says what to do."""

    def __init__(self, message: str, *, exit_code: int, hint: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.field = field
        self.exit_code = exit_code


def exit_code_of_http(status: int) -> int:
    return EXIT_CODE_OF_HTTP.get(status, UNREACHABLE if status >= 500 else USAGE)


def exit_code_of_run(status: RunStatus, outcome: OutcomeKind | None) -> int:
    """OK too for a run that has not ended."""
    if status is RunStatus.SUCCEEDED or not status.is_final:
        return OK
    return EXIT_CODE_OF_OUTCOME.get(outcome, RUN_FAILED) if outcome else RUN_FAILED


def wrong_usage(error: TyperException) -> CommandError:
    """What Typer says of arguments that it cannot read, without its frame."""
    message = getattr(error, "format_message", lambda: str(error))()
    command = getattr(getattr(error, "ctx", None), "command_path", "millwright")
    field = getattr(getattr(error, "param", None), "name", None)
    return CommandError(message, hint=f"`{command} --help` shows every option.", field=field, exit_code=USAGE)


@contextmanager
def told(*, as_json: bool) -> Iterator[None]:
    """Around a command: errors go to standard error, as text or as one JSON object, and end it with their code."""
    try:
        yield
    except CommandError as error:
        tell(error, as_json=as_json)
        raise typer.Exit(error.exit_code) from None
    except MillwrightError as error:
        code = REFUSED if isinstance(error, Forbidden) else UNREACHABLE if isinstance(error, Unavailable) else USAGE
        tell(CommandError(error.message, hint=error.hint, field=error.field, exit_code=code), as_json=as_json)
        raise typer.Exit(code) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def tell(error: CommandError, *, as_json: bool) -> None:
    if as_json:
        words = {
            "message": error.message,
            "hint": error.hint,
            "field": error.field,
            "exit_code": error.exit_code,
        }
        print(json.dumps({"error": words}), file=sys.stderr)
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[red]✗[/red] {escape(error.message)}")
    if error.hint:
        console.print(f"→ {escape(error.hint)}")
