"""`make kill-test`: short runs while every process of their stack is killed, at aimed points and at any time.

    python -m tests.campaigns.kill_test [--runs 200] [--seed N] [--continue] [--folder FOLDER]

Ends with one JSON line: hits and kills of each point, kills of each process, what was off; exit code 1 when any point
or process had none, or when something was off. docs/campaigns.md tells what is checked.
"""

import argparse
import asyncio
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.table import Table
from temporalio.client import Client

from benchmarks.local_stack import LocalStack
from cli.stack.settings import StackSettings
from domain.failpoints import Point
from tests.campaigns.harness import AT_ONCE, Ended, Job, Results, Runs, ask
from tests.campaigns.kill_checks import RUNS_THAT_WAITED, Watch, commits_off, off_at_the_end, until_all_wait
from tests.campaigns.kill_runs import RunMaker, outcomes_off
from tests.campaigns.killer import Killer, make_plan

EXECUTOR_PERMITS = 6
"""Fewer than runs at once. Before the first blow there are none, until as many runs wait as there may be at once."""
POOL_SIZE = "UPDATE permit_pool SET size = %s WHERE name = 'executor'"
AFTER_HUNGER_SECONDS = 1.0
"""Between runs that are let go because an armed point finds nothing at work."""

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Report:
    counts: dict[str, Any]
    off: tuple[str, ...]


class KillTest:
    def __init__(self, folder: Path, runs: int, seed: int) -> None:
        self._points = folder / "failpoints"
        self._points.mkdir(parents=True, exist_ok=True)
        self.stack = LocalStack(
            folder / "stack",
            {"MILLWRIGHT_HEARTBEAT_SECONDS": "3", "MILLWRIGHT_FAILPOINTS": str(self._points)},
        )
        self._results = Results(folder / "results.jsonl")
        self._maker = RunMaker(folder)
        self._count = runs
        self._runs = [self._maker.make(number) for number in range(max(runs, len(self._results.read())))]
        self._killer = Killer(self.stack, self._points, make_plan(runs, seed), seed, folder / "progress.json")
        self._watch = Watch(self.stack)
        self._waited = 0
        self._turn = asyncio.Lock()

    def run(self) -> Report:
        """Brings the stack up and down again."""
        try:
            self.stack.up()
            self.stack.sql(POOL_SIZE, 0)
            ends = asyncio.run(self._kill_and_run())
            off = asyncio.run(self._off(ends))
        finally:
            self.stack.down()
        off += [f"left: {process}" for process in self.stack.left_processes()]
        return Report(self._counts(ends), (*off, *self._blows_off()))

    async def _kill_and_run(self) -> list[Ended]:
        runs = Runs(
            self.stack,
            self._results,
            before_start=self._held_back,
            while_running=self._cancel,
        )
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch.run())
            killing = group.create_task(self._wait_then_kill())
            ends = await runs.all([run.job for run in self._runs], tell=self._tell)
            while not killing.done():
                self._runs.append(self._maker.make(len(self._runs)))
                ends += await runs.all([self._runs[-1].job], tell=self._tell)
            watching.cancel()
        return ends

    async def _wait_then_kill(self) -> None:
        left = len(self._runs) - len(self._results.read())
        await until_all_wait(self.stack, min(AT_ONCE, left))
        await asyncio.to_thread(self._watch.look)
        await asyncio.to_thread(self.stack.sql, POOL_SIZE, EXECUTOR_PERMITS)
        await self._killer.run()

    async def _held_back(self, started: int) -> None:
        """Runs last as long as the killing does; an armed point never waits in vain."""
        async with self._turn:
            while started > self._killer.share_done * self._count + AT_ONCE and self._killer.share_done < 1:
                if self._killer.wants_a_run:
                    await asyncio.sleep(AFTER_HUNGER_SECONDS)
                    return
                await asyncio.sleep(0.2)

    async def _cancel(self, job: Job, run_id: UUID) -> None:
        """Cancels a run of that kind as soon as its command runs."""
        if not next(run for run in self._runs if run.job is job).kind.cancelled:
            return
        at_work = "SELECT 1 FROM run WHERE id = %s AND (finished_at IS NOT NULL OR current_phase = 'work')"
        while not await self.stack.ask_patiently(at_work, run_id):  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.3)
        await ask(self.stack, f"/runs/{run_id}/cancel", {"reason": "the campaign asks"}, key=f"cancel {job.name}")

    async def _off(self, ends: Sequence[Ended]) -> list[str]:
        off = outcomes_off(self._runs, ends)
        off += [f"{times} times: {what}" for what, times in self._watch.off.items()]
        off += await off_at_the_end(self.stack)
        self._waited = self.stack.sql(RUNS_THAT_WAITED)[0]["n"]
        off += await asyncio.to_thread(self._watch.lost_events)
        off += commits_off(self.stack, self._maker.remote, self._runs, ends)
        client = await Client.connect(self.stack.status.temporal_address)
        async for execution in client.list_workflows("ExecutionStatus = 'Running'"):
            off.append(f"Temporal still runs {execution.id}")
        return off

    def _blows_off(self) -> list[str]:
        progress = self._killer.progress
        off = [f"no kill at {point}" for point in Point if not self._killer.kills(point)]
        off += [f"no kill of {name}" for name, times in progress.killed.items() if not times]
        off += [] if progress.stopped else ["the worker was never stopped"]
        return off if self._waited else [*off, "no run ever waited"]

    def _counts(self, ends: Sequence[Ended]) -> dict[str, Any]:
        progress = self._killer.progress
        points = {str(p): {"hits": self._killer.hits(p), "kills": self._killer.kills(p)} for p in Point}
        return {
            "runs": len(ends),
            "right_outcomes": len(ends) - len(outcomes_off(self._runs, ends)),
            "points": points,
            "killed": progress.killed,
            "worker_stopped": progress.stopped,
            "blows_without_a_run": progress.given_up,
            "looks": self._watch.looks,
            "runs_that_waited": self._waited,
        }

    def _tell(self, end: Ended) -> None:
        console.print(
            f"{end.name:<24} {end.outcome or end.status} in {end.iterations}, {end.seconds:.1f} s"
            f"   blows: {self._killer.share_done:.0%}"
        )


def show(report: Report) -> None:
    """Two tables for people, and a line for each thing that is off."""
    points = Table("point", "hits", "kills", title="kill-test")
    for point, its in report.counts["points"].items():
        points.add_row(point, str(its["hits"]), str(its["kills"]))
    killed = Table("process", "killed")
    for name, times in report.counts["killed"].items():
        killed.add_row(name, str(times))
    killed.add_row("worker, stopped", str(report.counts["worker_stopped"]))
    console.print(points, killed)
    for line in report.off:
        console.print(f"OFF {line}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="kill_test", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="order of the blows")
    parser.add_argument("--continue", dest="continued", action="store_true", help="do only what is not done yet")
    parser.add_argument("--folder", type=Path, help="where all of it lies (default: in the state folder)")
    options = parser.parse_args(arguments)
    base = (options.folder or StackSettings().state_folder / "campaigns" / "kill-test").absolute()
    if not options.continued:
        LocalStack(base / "stack").remove()
        shutil.rmtree(base, ignore_errors=True)
    campaign = KillTest(base, options.runs, options.seed)
    report = campaign.run()
    show(report)
    if report.off:
        console.print(f"the stack's record and logs are kept in {campaign.stack.folder.path}")
    else:
        campaign.stack.remove()
    print(json.dumps({"campaign": "kill-test", **report.counts, "off": len(report.off)}))
    return 1 if report.off else 0


if __name__ == "__main__":
    sys.exit(main())
