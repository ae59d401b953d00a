"""Each campaign in its 20-run form, on a real stack, without the network."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from benchmarks.local_stack import LocalStack
from tests.campaigns import real_projects
from tests.campaigns.cases import git, read_folder
from tests.campaigns.harness import AT_ONCE
from tests.campaigns.kill_test import KillTest
from tests.campaigns.mutation import mutations
from tests.support.scratch import scratch_folder

RUNS = 20
AGENT_RUNS = 8
MODULE = """\
def area(width, height):
    if width < 0 or height < 0:
        raise ValueError("negative")
    return width * height


def perimeter(width, height):
    return 2 * (width + height)


def longest(words):
    best = ""
    for word in words:
        if len(word) > len(best):
            best = word
    return best


def rest(words):
    return words[1:]
"""
CHECKS = """\
from shapes import area, longest, perimeter, rest

assert (area(2, 3), area(0, 9), area(9, 0)) == (6, 0, 0)
assert (perimeter(2, 3), perimeter(1, 7)) == (10, 16)
assert (longest(["a", "ccc", "bb", "ddd"]), longest([])) == ("ccc", "")
assert rest([1, 2, 3]) == [2, 3]
for sides in ((-1, 2), (2, -1)):
    try:
        area(*sides)
    except ValueError:
        continue
    raise AssertionError(sides)
"""

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(900)]


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch_folder("campaign") as made:
        yield made


def _repository(repo: Path, faulty: bytes, wrong: bytes) -> None:
    repo.mkdir(parents=True)
    (repo / "shapes.py").write_bytes(faulty)
    (repo / "test_shapes.py").write_text(CHECKS)
    git(repo, "init", "--quiet", "-b", "main")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "-m", "Work in progress")
    case = {
        "task": "shapes fails its tests",
        "test_command": f"{sys.executable} -B test_shapes.py",
        "wrong": {"shapes.py": wrong.decode()},
        "right": {"shapes.py": MODULE},
    }
    (repo / "case.json").write_text(json.dumps(case))


def _fails(repo: Path) -> bool:
    return subprocess.run([sys.executable, "-B", "test_shapes.py"], cwd=repo, capture_output=True).returncode == 1


@pytest.mark.parametrize(("agent", "runs"), [(False, RUNS), (True, AGENT_RUNS)], ids=["model", "agent"])
def test_real_projects(folder: Path, agent: bool, runs: int) -> None:
    right = MODULE.encode()
    for number, site in zip(range(runs), cycle(mutations(right)), strict=False):
        repo, faulty = folder / "projects" / f"shapes-{number}", site.apply(right, site.fault)
        _repository(repo, faulty, faulty + b"# looked at\n")
        assert _fails(repo), f"{site} is not caught by the tests"
    stack = LocalStack(folder / "stack", real_projects.SETTINGS)
    try:
        report = real_projects.run_cases(stack, read_folder(folder / "projects"), folder, agent=agent)
    finally:
        stack.remove()
    assert report.off == ()
    assert report.counts["verified_in_2_iterations"] == report.counts["delivered"] == runs


def test_kill_test(folder: Path) -> None:
    campaign = KillTest(folder, RUNS, seed=1)
    try:
        report = campaign.run()
    finally:
        campaign.stack.remove()
    assert report.off == ()
    assert report.counts["right_outcomes"] == report.counts["runs"] >= RUNS
    assert report.counts["runs_that_waited"] >= AT_ONCE
