"""The sample repository of `make demo`: a small package with a real bug and the tests that show it.

Its files lie in pipelines/sample-repository; the scripted model that mends it is pipelines/scripts/demo.yaml.
"""

import os
import shutil
import subprocess
from pathlib import Path

from domain.errors import InvalidInput, Unavailable
from domain.runs.messages import TaskSpec

FILES = Path(__file__).parent / "sample-repository"
MODEL = "scripted:demo"
TEST_COMMAND = "python3 -m unittest"
TASK = TaskSpec(
    change="Splitting a bill loses cents\n\nsplit(10_000, {'ann': 1, 'bob': 1, 'cleo': 1}) gives 9,999 cents in all.",
    acceptance=(
        "The shares add up to the bill, also for refunds.",
        "Nobody pays a whole cent more or less than the exact share.",
    ),
    target_paths=("billsplit/split.py",),
    suggested_checks=(TEST_COMMAND,),
)

_IDENTITY = {
    "GIT_AUTHOR_NAME": "Millwright sample",
    "GIT_AUTHOR_EMAIL": "sample@localhost",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Millwright sample",
    "GIT_COMMITTER_EMAIL": "sample@localhost",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
}
"""With a fixed date, so that the commit is the same everywhere."""


def make_sample_repository(folder: Path) -> str:
    """A git repository with one commit on `main`, unless the folder already is one; the commit at its HEAD.

    Made beside the folder and renamed, so that a half-made one is never met. Raises InvalidInput when the folder holds
    something else, and Unavailable when there is no git.
    """
    if (folder / ".git").exists():
        return _git(folder, "rev-parse", "HEAD")
    if folder.exists() and any(folder.iterdir()):
        raise InvalidInput(f"{folder} is not empty and no git repository", hint="Give another folder.", field="folder")
    building = folder.with_name(f".{folder.name}.making-{os.getpid()}")
    try:
        shutil.copytree(FILES, building, ignore=shutil.ignore_patterns("__pycache__"))
        _git(building, "init", "--quiet", "--initial-branch=main", "--template=")
        _git(building, "add", "--all")
        _git(building, "commit", "--quiet", "--no-verify", "--no-gpg-sign", "--message=A package that splits bills")
        commit = _git(building, "rev-parse", "HEAD")
        building.replace(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return commit


def _git(folder: Path, *args: str) -> str:
    binary = shutil.which("git")
    if binary is None:
        raise Unavailable("The `git` command was not found", hint="Install git, and start again.")
    env = {"PATH": os.defpath, "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C", **_IDENTITY}
    done = subprocess.run([binary, *args], cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"git {args[0]} failed in {folder}: {done.stderr.strip()}", hint="See git's words.")
    return done.stdout.strip()
