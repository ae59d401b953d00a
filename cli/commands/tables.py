"""Runs as tables for people."""

from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.commands.progress import Line, Progress, clean, ending, final_lines, name_of, seconds
from cli.commands.screen import MARKS, STYLES
from domain.runs.views import RunListItem, RunPage, RunView
from domain.runs.words import PhaseStatus, RunStatus

WIDE = 120
"""Columns of a terminal from which the list shows everything."""
STATUS_STYLES = {
    RunStatus.SUCCEEDED: "green",
    RunStatus.FAILED: "red",
    RunStatus.RUNNING: "cyan",
    RunStatus.WAITING: "yellow",
}


def print_runs(console: Console, page: RunPage, *, chosen: str = "") -> None:
    """`chosen` names the filters, when there are some: an empty list is then no reason to start a run."""
    if not page.runs and chosen:
        console.print(f"No run matches {clean(chosen)}. Without it: millwright run list", markup=False)
        return
    if not page.runs:
        console.print(
            'No runs. Start one: millwright run start --repo . --task "..." --test-command "..."', markup=False
        )
        return
    table = Table(box=None, pad_edge=False)
    names = {"Run": 36, "Status": 9, "Outcome": 12, "Iterations": 2, "Took": 6, "Started": 16, "Task": 10}
    shown = [name for name in names if console.width >= WIDE or name not in ("Took", "Started", "Task")]
    for name in shown:
        table.add_column(name, no_wrap=True, overflow="ellipsis", min_width=names[name])
    for run in page.runs:
        outcome = run.outcome_kind or (f"{run.current_phase} …" if run.current_phase else "")
        detail = f"({run.outcome_detail})" if run.outcome_detail else ""
        cells = {
            "Run": Text(str(run.id)),
            "Status": Text(run.status, style=STATUS_STYLES.get(run.status, "")),
            "Outcome": Text(f"{outcome}{detail}"),
            "Iterations": Text(str(run.iterations)),
            "Took": Text(_took(run)),
            "Started": Text(_when(run.started_at or run.created_at)),
            "Task": Text(clean(run.title)),
        }
        table.add_row(*(cells[name] for name in shown))
    console.print(table)
    total = page.total if page.total is not None else f"at least {page.total_at_least}"
    more = f"; next page: --cursor {page.next_cursor}" if page.next_cursor else ""
    console.print(f"{len(page.runs)} of {total}{more}", style="dim", markup=False)


def print_run(console: Console, view: RunView, page: str) -> None:
    console.print(Text(ending(view), style="bold"))
    about = [
        ("Run", str(view.id)),
        ("Task", clean(view.title)),
        ("Pipeline", f"{view.pipeline_name}@{view.pipeline_hash[:12]}"),
        *((("Workspace", f"{view.workspace_name} ({view.repo_path})"),) if view.workspace_name else ()),
        ("Asked by", view.actor),
        *((("Cancel by", clean(view.cancel_asked.by_whom)),) if view.cancel_asked else ()),
        ("Took", _took(view)),
        *final_lines(view, page),
    ]
    for what, value in about:
        console.print(f"{what:<11} {value}", markup=False)
    console.print()
    for line in _phase_lines(view):
        console.print(Text(MARKS.get(line.tone, "") + line.text, style=STYLES[line.tone]))
    for phase in view.phases:
        if phase.newest.status in (PhaseStatus.RUNNING, PhaseStatus.WAITING):
            console.print(f"▸ {name_of(phase.newest)} {phase.newest.status}", markup=False)


def _phase_lines(view: RunView) -> list[Line]:
    return [line for line in Progress().update(view) if not line.text.endswith(" started")]


def _took(run: RunListItem) -> str:
    if run.started_at is None or run.finished_at is None:
        return ""
    return seconds((run.finished_at - run.started_at).total_seconds())


def _when(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M")
