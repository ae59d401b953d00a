"""`make bench`: ours and the floor in one run; a table for people, and JSON lines in `bench-results/`.

    python -m benchmarks [ROW ...]

Rows: 1 2 3 7 9 10 (docs/benchmarks.md). Exit code 1 when a bar is missed.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks import row01_phase, row02_runs, row03_turn, row07_actions, row09_recovery, row10_cancel
from benchmarks.bench import Bench, Figure, durability, running
from benchmarks.local_stack import ROOT

ROWS: Mapping[str, Callable[[Bench], Awaitable[list[Figure]]]] = {
    "1": row01_phase.measure,
    "2": row02_runs.measure,
    "3": row03_turn.measure,
    "7": row07_actions.measure,
    "9": row09_recovery.measure,
    "10": row10_cancel.measure,
}

console = Console(highlight=False, soft_wrap=True)


async def bench(rows: list[str], results: Path) -> list[Figure]:
    figures: list[Figure] = []
    # Not below a closed home folder: PostgreSQL runs as an ordinary user when we are root.
    with tempfile.TemporaryDirectory(prefix="millwright-bench-") as name:
        async with running(Path(name)) as given:
            fsync, synchronous, commit_ms = durability(given.stack)
            cores = os.cpu_count()
            console.print(
                f"{cores} cores; fsync {fsync}, synchronous_commit {synchronous}, one commit {commit_ms:.2f} ms"
            )
            for row in rows:
                console.print(f"row {row} …")
                measured = await ROWS[row](given)
                figures += measured
                with results.open("a") as file:
                    file.writelines(f"{_line(figure)}\n" for figure in measured)
            async with httpx.AsyncClient() as http:
                posts = int((await http.get(given.sink_url)).text)
            assert posts > 0, "no telemetry was sent while measuring"
            console.print(f"telemetry: {posts} posts to the collector")
    return figures


def _line(figure: Figure) -> str:
    row = dataclasses.asdict(figure)
    return json.dumps({name: row[name] for name in ("name", "ours", "reference", "unit", "ratio")})


def show(figures: list[Figure]) -> None:
    table = Table("row", "ours", "reference", "unit", "ratio", "bar", "", title="benchmarks")
    for figure in figures:
        numbers = [f"{figure.ours:.2f}", f"{figure.reference:.2f}", figure.unit, f"{figure.ratio:.2f}"]
        table.add_row(figure.name, *numbers, figure.bar, "ok" if figure.met else "MISSED")
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"default: all of {' '.join(ROWS)}")
    rows = parser.parse_args().rows or list(ROWS)
    if unknown := [row for row in rows if row not in ROWS]:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    folder = ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    results = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl"
    figures = asyncio.run(bench(rows, results))
    show(figures)
    console.print(f"JSON lines: {results.relative_to(ROOT)}")
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
