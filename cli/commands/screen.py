"""How progress is shown: live on a terminal (what runs now, its last output below), plain lines elsewhere."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from cli.commands.follow import Output
from cli.commands.progress import Line, Tone, name_of, seconds, shown_lines
from domain.runs.views import AttemptView, RunView
from domain.runs.words import PhaseStatus

TAIL_LINES = 5
STYLES = {
    Tone.HEADING: "bold",
    Tone.STARTED: "dim",
    Tone.GOOD: "green",
    Tone.BAD: "red",
    Tone.NOTE: "yellow",
    Tone.WHY: "red",
    Tone.QUOTE: "dim",
}
MARKS = {Tone.GOOD: "✓ ", Tone.BAD: "✗ ", Tone.NOTE: "• ", Tone.STARTED: "▸ "}


class Screen(Protocol):
    def show(self, lines: list[Line], view: RunView) -> None: ...

    def output(self, printed: Output) -> None: ...


class Plain:
    """One line each, with the time: for CI logs and pipes."""

    def __init__(self, console: Console, *, with_output: bool) -> None:
        self._console = console
        self._with_output = with_output
        self._rest = ""

    def show(self, lines: list[Line], view: RunView) -> None:
        now = datetime.now(UTC).strftime("%H:%M:%S")
        for line in lines:
            self._console.print(f"{now}  {_marked(line)}", markup=False, highlight=False)

    def output(self, printed: Output) -> None:
        if not self._with_output:
            return
        *whole, self._rest = (self._rest + printed.text).split("\n")
        for line in shown_lines("\n".join(whole), len(whole)):
            self._console.print(line, markup=False, highlight=False)


class Terminal:
    """Finished lines scroll up; below them stands what runs now with a timer and its last lines of output."""

    def __init__(self, console: Console, *, with_output: bool) -> None:
        self._console = console
        self._with_output = with_output
        self._spinner = Spinner("dots")
        self._running: AttemptView | None = None
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)

    def show(self, lines: list[Line], view: RunView) -> None:
        for line in lines:
            if line.tone is not Tone.STARTED:
                self._console.print(Text(_marked(line), style=STYLES[line.tone]))
        open_ones = [
            phase.newest for phase in view.phases if phase.newest.status in (PhaseStatus.RUNNING, PhaseStatus.WAITING)
        ]
        newest = open_ones[-1] if open_ones else None
        if newest is None or self._running is None or newest.id != self._running.id:
            self._tail.clear()
        self._running = newest

    def output(self, printed: Output) -> None:
        lines = shown_lines(printed.text, 1000)
        if self._running and printed.execution in {each.ordinal for each in self._running.executions}:
            self._tail.extend(lines)  # what another phase printed comes late
        if self._with_output:
            for line in lines:
                self._console.print(Text(line, style="dim"))

    def render(self) -> RenderableType:
        attempt = self._running
        if attempt is None:
            self._spinner.update(text="…")
            return self._spinner
        since = attempt.started_at or attempt.created_at
        took = max(0.0, (datetime.now(UTC) - since).total_seconds())
        word = "waits" if attempt.status is PhaseStatus.WAITING else "runs"
        where = f"iteration {attempt.iteration} · " if attempt.iteration else ""
        self._spinner.update(text=Text(f"{where}{name_of(attempt)} {word}   {seconds(took)}"))
        return Group(
            self._spinner, *(Text(line, style="dim", overflow="ellipsis", no_wrap=True) for line in self._tail)
        )


@contextmanager
def screen(console: Console, *, with_output: bool = False) -> Iterator[Screen]:
    if not console.is_terminal:
        yield Plain(console, with_output=with_output)
        return
    terminal = Terminal(console, with_output=with_output)
    with Live(console=console, get_renderable=terminal.render, transient=True, refresh_per_second=8):
        yield terminal


def _marked(line: Line) -> str:
    return MARKS.get(line.tone, "") + line.text
