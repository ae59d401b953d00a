"""Progress on a terminal and in a pipe."""

import io
import re

from rich.console import Console

from cli.commands.follow import Output
from cli.commands.progress import Progress
from cli.commands.screen import Plain, Terminal, screen
from cli.commands.tables import print_run, print_runs
from cli.commands.watching import print_end
from domain.runs.views import RequestView, RunPage
from domain.runs.words import ExecutionStatus, OutcomeKind, PhaseStatus, RequestKind, RequestStatus, RunStatus
from tests.cli.commands.views import BEGAN, FAILED, RUN, attempt, execution, run


def _console(*, terminal: bool, width: int = 100) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=width, highlight=False, soft_wrap=True), file


def test_a_pipe_gets_plain_lines_with_the_time() -> None:
    console, file = _console(terminal=False)
    view = run(attempt("plan"), attempt("verify", iteration=1, status=PhaseStatus.FAILED, error=FAILED))
    with screen(console, with_output=True) as shown:
        assert isinstance(shown, Plain)
        shown.show(Progress().update(view), view)
        shown.output(Output(text="one\ntw", execution=1))
        shown.output(Output(text="o\n\x1b[2Jthree", execution=1))
    lines = file.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d  ✓ plan +passed   1\.5 s", lines[0])
    assert lines[-2:] == ["  │ one", "  │ two"]
    assert "\x1b" not in file.getvalue()


def test_output_is_only_shown_when_asked_for() -> None:
    console, file = _console(terminal=False)
    with screen(console) as shown:
        shown.output(Output(text="one\n", execution=1))
    assert file.getvalue() == ""


def test_a_terminal_shows_what_runs_and_its_last_lines() -> None:
    console, file = _console(terminal=True)
    executions = (execution(1, ExecutionStatus.LOST), execution(2, ExecutionStatus.RUNNING))
    view = run(attempt("plan"), attempt("verify", iteration=2, status=PhaseStatus.RUNNING, executions=executions))
    terminal = Terminal(console, with_output=False)
    terminal.show(Progress().update(view), view)
    terminal.output(Output(text="\n".join(f"line {n}" for n in range(9)), execution=2))
    terminal.output(Output(text="from another phase", execution=7))
    with console.capture() as captured:
        console.print(terminal.render())
    text = captured.get()
    assert "iteration 2 · verify runs" in text
    assert "line 8" in text and "line 4" in text and "line 3" not in text
    assert "another phase" not in text
    assert "plan" in file.getvalue() and "verify started" not in file.getvalue()
    terminal.show([], run(attempt("plan")))
    with console.capture() as captured:
        console.print(terminal.render())
    assert "verify" not in captured.get()


def test_markup_in_what_runs_say_is_text() -> None:
    console, file = _console(terminal=True)
    view = run(attempt("verify", status=PhaseStatus.FAILED, error=FAILED.model_copy(update={"message": "[red]x[/y]"})))
    with screen(console) as shown:
        shown.show(Progress().update(view), view)
    assert "[red]x[/y]" in file.getvalue()
    plain, plain_file = _console(terminal=False, width=200)
    print_end(plain, run(status=RunStatus.FAILED, outcome_kind=OutcomeKind.PHASE_ERROR, error=FAILED), "http://p")
    print_run(plain, view.model_copy(update={"title": "[bold]t[/x]"}), "http://p")
    print_runs(plain, RunPage(runs=(view.model_copy(update={"title": "[bold]t[/x]"}),), total=1))
    assert plain_file.getvalue().count("[bold]t[/x]") == 2


def test_the_end_of_a_failed_run_says_why_and_what_to_do() -> None:
    console, file = _console(terminal=False)
    view = run(status=RunStatus.FAILED, outcome_kind=OutcomeKind.PHASE_ERROR, outcome_detail="verify", error=FAILED)
    print_end(console, view, "http://page")
    assert "Failed: `pytest` ended with exit code 1" in file.getvalue()
    assert FAILED.hint in file.getvalue()
    assert "http://page" in file.getvalue()


def test_a_run_shows_who_asked_for_its_cancel_and_why() -> None:
    console, file = _console(terminal=False, width=200)
    applied = RequestStatus.APPLIED
    asked = RequestView(id=RUN, kind=RequestKind.CANCEL, status=applied, actor="ada", reason="enough", created_at=BEGAN)
    refused = asked.model_copy(update={"status": RequestStatus.REFUSED, "actor": "bob"})
    print_run(console, run(status=RunStatus.CANCELLED, requests=(refused, asked)), "http://p")
    assert "Cancel by   ada: enough" in file.getvalue()


def test_an_empty_list_says_how_to_start_a_run() -> None:
    console, file = _console(terminal=False)
    print_runs(console, RunPage(runs=(), total=0))
    assert "millwright run start" in file.getvalue()


def test_an_empty_list_behind_a_filter_names_the_filter() -> None:
    console, file = _console(terminal=False)
    print_runs(console, RunPage(runs=(), total=0), chosen="--pipeline nope")
    assert "No run matches --pipeline nope" in file.getvalue()
    assert "run start" not in file.getvalue()


def test_the_list_names_each_run_with_its_total_and_the_way_on() -> None:
    console, file = _console(terminal=False, width=200)
    done = run(status=RunStatus.SUCCEEDED, outcome_kind=OutcomeKind.VERIFIED, iterations=2)
    print_runs(console, RunPage(runs=(done,), total_at_least=10_000, next_cursor="abc"))
    text = file.getvalue()
    assert str(done.id) in text and "verified" in text and "Mend dates" in text
    assert "1 of at least 10000; next page: --cursor abc" in text
