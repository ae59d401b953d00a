"""Cases of `real-projects`: a repository with a fault, a first answer that does not help, and the right one."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from domain.base import Frozen
from tests.campaigns.planting import Fault
from tests.campaigns.projects import Project, ProjectShelf

CASE_FILE = "case.json"


class CaseFile(Frozen):
    """`case.json` in the root of a repository."""

    task: str = Field(min_length=1)
    test_command: str = Field(min_length=1)
    wrong: dict[str, str | None] = Field(min_length=1)
    """Path -> whole new text (null: delete): what the scripted model answers first."""
    right: dict[str, str | None] = Field(min_length=1)


class Case(Frozen):
    name: str
    """`<project>/<number>`, or the repository's folder."""
    repo: Path
    content: CaseFile

    @property
    def project(self) -> str:
        return self.name.split("/")[0]

    def write_script(self, folder: Path, *, agent: bool) -> Path:
        """The scripted model of this case; its `provider:model` is `scripted:<path>`. `agent`: it works with tools."""
        coder = self._agent() if agent else self._files()
        replies = [
            {"role": "planner", "text": "Find the change that the failing test points at, and mend it."},
            *coder,
            {"role": "reviewer", "json": {"approved": True, "comments": ""}},
        ]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name.replace('/', '-')}.yaml"
        usage = {"tokens_in": 1000, "tokens_out": 100, "billed_usd": "0.001"}
        path.write_text(yaml.safe_dump({"usage": usage, "replies": replies}, allow_unicode=True))
        return path

    def _files(self) -> list[dict[str, Any]]:
        return [
            {"role": "coder", "iteration": 1, "files": self.content.wrong},
            {"role": "coder", "files": self.content.right},
        ]

    def _agent(self) -> list[dict[str, Any]]:
        """First it reads and changes the wrong thing; then it sees the tests fail, mends it, and sees them pass."""
        tests = _call("run_command", command=self.content.test_command)
        looks = [_call("list_files", pattern="*.py"), *(_call("read_file", path=path) for path in self.content.wrong)]
        first = [
            {"text": "I look first.", "tool_calls": looks},
            {"tool_calls": [_write(path, text) for path, text in self.content.wrong.items()]},
            {"tool_calls": [_call("finish", summary="I changed what looked wrong.")]},
        ]
        second = [
            {"text": "That was not it.", "tool_calls": [tests]},
            {"tool_calls": [*(_write(path, text) for path, text in self.content.right.items()), tests]},
            {"tool_calls": [_call("finish", summary="The tests pass now.")]},
        ]
        return [{"role": "coder", "iteration": 1, "turns": first}, {"role": "coder", "iteration": 2, "turns": second}]


def _call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def _write(path: str, text: str | None) -> dict[str, Any]:
    return _call("write_file", path=path, text=text)


def read_folder(folder: Path) -> list[Case]:
    """Every repository below `folder` that has a `case.json`. Raises SystemExit that names file and field."""
    files = sorted(folder.glob(f"*/{CASE_FILE}"))
    if not files:
        raise SystemExit(f"{folder} has no folder with a {CASE_FILE}; docs/campaigns.md describes it")
    return [_read(file) for file in files]


def _read(file: Path) -> Case:
    try:
        content = CaseFile.model_validate_json(file.read_text())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise SystemExit(f"{file}: {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}") from None
    return Case(name=file.parent.name, repo=file.parent.absolute(), content=content)


def make_cases(shelf: ProjectShelf, project: Project, faults: tuple[Fault, ...], folder: Path) -> list[Case]:
    """One repository per fault, as a person would have it, with another checkout that has unfinished work."""
    cases = []
    for number, fault in enumerate(faults, 1):
        repo = folder / f"{project.name}-{number}"
        _make_repository(repo, shelf.source(project), project, fault)
        content = CaseFile(
            task=f"{project.name} fails its own tests\n\n{fault.told}\n\nThe cause is a change in {fault.path}.",
            test_command=shelf.test_command(project),
            wrong={fault.path: fault.wrong},
            right={fault.path: fault.right},
        )
        cases.append(Case(name=f"{project.name}/{number}", repo=repo, content=content))
    return cases


def _make_repository(repo: Path, source: Path, project: Project, fault: Fault) -> None:
    """Made once: a campaign that is continued finds it as it is."""
    elsewhere = repo.with_name(f"{repo.name}-elsewhere")
    unfinished = elsewhere / "notes.txt"
    if unfinished.exists():
        return
    shutil.rmtree(repo, ignore_errors=True)
    shutil.rmtree(elsewhere, ignore_errors=True)
    shutil.copytree(source, repo)
    _commit_all(repo, f"{project.name} {project.version}", first=True)
    (repo / fault.path).write_bytes(fault.faulty.encode())
    _commit_all(repo, f"Work on {fault.path}")
    git(repo, "worktree", "add", "--quiet", "-b", "unfinished", str(elsewhere))
    unfinished.write_text("not finished\n")


def _commit_all(repo: Path, message: str, *, first: bool = False) -> None:
    if first:
        git(repo, "init", "--quiet", "-b", "main")
        ignored = repo / ".gitignore"
        before = ignored.read_text() if ignored.exists() else ""
        ignored.write_text(f"{before}\n__pycache__/\n.pytest_cache/\n")
    git(repo, "add", "--all", "--force")
    git(repo, "commit", "--quiet", "-m", message)


def checkouts(repo: Path) -> dict[str, str]:
    """Every checkout of the repository -> a hash of its HEAD, state and content: equal when nobody touched it."""
    listed = [line.removeprefix("worktree ") for line in git(repo, "worktree", "list", "--porcelain").splitlines()]
    return {path: _fingerprint(Path(path)) for path in listed if path.startswith("/") and Path(path).is_dir()}


def _fingerprint(checkout: Path) -> str:
    seen = [git(checkout, *words) for words in (["rev-parse", "HEAD"], ["branch", "--show-current"], ["diff", "HEAD"])]
    status = git(checkout, "status", "--porcelain", "--untracked-files=all")
    untracked = [line[3:] for line in status.splitlines() if line.startswith("?? ")]
    bodies = [(checkout / name).read_bytes().hex() for name in untracked if (checkout / name).is_file()]
    return hashlib.sha256(json.dumps([*seen, status, *bodies]).encode()).hexdigest()


def git(repo: Path, *words: str) -> str:
    """What git printed, line endings as they are. Raises RuntimeError with git's words."""
    identity = ["-c", "user.name=Campaign", "-c", "user.email=campaign@localhost", "-c", "core.quotePath=false"]
    done = subprocess.run(["git", "-C", str(repo), *identity, *words], capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"git {words[0]} in {repo}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="surrogateescape")
