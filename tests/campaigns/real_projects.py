"""`make real-projects`: public projects with planted faults, each mended by a scripted model at its second try.

    python -m tests.campaigns.real_projects [--projects FOLDER] [--continue] [--seed N] [--folder FOLDER]
                                             [--agent]

Ends with one JSON line of its counts; exit code 1 when one is off. docs/campaigns.md describes `case.json`.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.local_stack import LocalStack
from cli.stack.settings import StackSettings
from tests.campaigns.cases import Case, checkouts, git, make_cases, read_folder
from tests.campaigns.harness import Ended, Job, Results, Runs
from tests.campaigns.planting import plant
from tests.campaigns.projects import Project, ProjectShelf, all_projects

FAULTS_PER_PROJECT = 4
PLANTERS = 2
SETTINGS = {"MILLWRIGHT_HEARTBEAT_SECONDS": "3"}
SHELF = "shelf"

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Report:
    """What is counted, and a line for each thing that is off."""

    counts: dict[str, int]
    off: tuple[str, ...]


def public_cases(projects: Sequence[Project], faults: int, seed: int, *, base: Path, folder: Path) -> list[Case]:
    """The projects fetched, the faults planted (or known from before), the repositories made in `folder`. What may be
    kept for the next campaign lies in `base`."""
    shelf, found_before = ProjectShelf(base / SHELF), base / "faults"
    shelf.prepare()
    for project in projects:
        shelf.source(project)
    with ThreadPoolExecutor(PLANTERS) as pool:
        planted = list(pool.map(lambda each: plant(shelf, each, faults, seed, found_before), projects))
    cases = []
    for project, its_faults in zip(projects, planted, strict=True):
        cases += make_cases(shelf, project, its_faults, folder)
        for number, fault in enumerate(its_faults, 1):
            console.print(f"  {project.name}/{number}: {fault.kind} at {fault.path}:{fault.line}")
    return cases


def _with_tools(shelf: Path) -> dict[str, str]:
    """Commands see the toolchains on the worker's PATH and little else of the machine (docs/sandbox.md)."""
    return {"PATH": os.pathsep.join((os.environ.get("PATH", os.defpath), str(ProjectShelf(shelf).python.parent)))}


def job(case: Case, scripts: Path, *, agent: bool) -> Job:
    model = f"scripted:{case.write_script(scripts, agent=agent)}"
    content = case.content
    return Job(
        case.name,
        {
            "task": content.task,
            "repo": str(case.repo),
            "pipeline": "agent-change" if agent else "code-change",
            "settings": {"model": model, "test_command": content.test_command},
        },
    )


def run_cases(stack: LocalStack, cases: Sequence[Case], folder: Path, *, agent: bool = False) -> Report:
    """Brings the stack up and down again. What `folder` knows of runs that ended is not done again. `agent`: the agent
    phase does the work, with tools."""
    before = _checkouts_before(cases, folder / "checkouts.json")
    jobs = [job(case, folder / "scripts", agent=agent) for case in cases]
    try:
        stack.up()
        ends = asyncio.run(Runs(stack, Results(folder / "results.jsonl")).all(jobs, tell=_tell))
        permits = stack.sql("SELECT * FROM permit WHERE run_id IS NOT NULL")
        rows = stack.sql("SELECT id, delivered_branch FROM run")
        branches = {row["id"]: row["delivered_branch"] for row in rows}
    finally:
        stack.down()
    left = stack.left_processes()
    touched = [f"{path} was touched" for case in cases for path in _touched(case, before[case.name])]
    unlike = [
        f"{case.name}: {problem}"
        for case, end in zip(cases, ends, strict=True)
        if (problem := _wrong_delivery(case, branches.get(end.run_id)))
    ]
    good = [end for end in ends if _as_expected(end)]
    _show(cases, ends)
    counts = {
        "projects": len({case.project for case in cases}),
        "runs": len(ends),
        "verified_in_2_iterations": len(good),
        "delivered": len(cases) - len(unlike),
        "permits_left": len(permits),
        "processes_left": len(left),
        "checkouts_touched": len(touched),
    }
    off = [
        f"{end.name}: {end.status} {end.outcome} in {end.iterations}: {end.error}" for end in ends if end not in good
    ]
    off += [*unlike, *touched, *(f"left: {process}" for process in left), *(f"permit left: {row}" for row in permits)]
    return Report(counts, tuple(off))


def _as_expected(end: Ended) -> bool:
    return (end.outcome, end.iterations) == ("verified", 2)


def _checkouts_before(cases: Sequence[Case], file: Path) -> dict[str, dict[str, str]]:
    """As they were before the first run, also for a campaign that is continued."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({case.name: checkouts(case.repo) for case in cases}))
    before: dict[str, dict[str, str]] = json.loads(file.read_text())
    return before


def _touched(case: Case, before: dict[str, str]) -> list[str]:
    now = checkouts(case.repo)
    return [path for path in before.keys() | now.keys() if before.get(path) != now.get(path)]


def _wrong_delivery(case: Case, branch: str | None) -> str | None:
    """The branch in the user's repository has the right texts, and nothing else changed."""
    if branch is None:
        return "no branch was delivered"
    changed = set(git(case.repo, "diff", "--name-only", "HEAD", branch).splitlines())
    if strange := changed - case.content.right.keys() - case.content.wrong.keys():
        return f"{branch} also changes {', '.join(sorted(strange))}"
    for path, text in case.content.right.items():
        there = git(case.repo, "ls-tree", "--name-only", branch, "--", path).strip() == path
        if there != (text is not None) or (there and git(case.repo, "show", f"{branch}:{path}") != text):
            return f"{branch} has another {path}"
    return None


def _tell(end: Ended) -> None:
    mark = "✓" if _as_expected(end) else "✗"
    console.print(f"{mark} {end.name:<24} {end.outcome or end.status} in {end.iterations}, {end.seconds:.1f} s")


def _show(cases: Sequence[Case], ends: Sequence[Ended]) -> None:
    table = Table(title="real-projects")
    for heading in ("project", "runs", "verified in 2", "seconds, median", "longest"):
        table.add_column(heading, justify="left" if heading == "project" else "right")
    for project in sorted({case.project for case in cases}):
        its = [end for case, end in zip(cases, ends, strict=True) if case.project == project]
        seconds = sorted(end.seconds for end in its)
        good = sum(map(_as_expected, its))
        table.add_row(project, str(len(its)), str(good), f"{seconds[len(its) // 2]:.1f}", f"{seconds[-1]:.1f}")
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="real_projects", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    given = os.environ.get("PROJECTS")
    parser.add_argument(
        "--projects", type=Path, default=Path(given) if given else None, help="repositories of your own"
    )
    parser.add_argument("--continue", dest="continued", action="store_true", help="do only what is not done yet")
    parser.add_argument("--seed", type=int, default=1, help="which faults are planted")
    parser.add_argument(
        "--agent",
        action="store_true",
        default=os.environ.get("AGENT", "") not in ("", "0"),
        help="pipeline agent-change: the scripted model works with tools",
    )
    parser.add_argument("--folder", type=Path, help="where all of it lies (default: in the state folder)")
    options = parser.parse_args(arguments)
    base = (options.folder or StackSettings().state_folder / "campaigns" / "real-projects").absolute()
    work = base / "own" if options.projects else base / f"public-{options.seed}"
    stack = LocalStack(work / "stack", SETTINGS | _with_tools(base / SHELF))
    if not options.continued:
        stack.remove()
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    if options.projects:
        cases = read_folder(options.projects)
    else:
        console.print("fetching projects, planting faults …")
        cases = public_cases(all_projects(), FAULTS_PER_PROJECT, options.seed, base=base, folder=work / "cases")
    report = run_cases(stack, cases, work, agent=options.agent)
    for line in report.off:
        console.print(f"OFF {line}")
    if report.off:
        console.print(f"the stack's record and logs are kept in {stack.folder.path}")
    else:
        stack.remove()
    print(json.dumps({"campaign": "real-projects", **report.counts, "off": len(report.off)}))
    return 1 if report.off else 0


if __name__ == "__main__":
    sys.exit(main())
