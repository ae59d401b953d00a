"""Looking at the user's own repository. Nothing here writes to it."""

from pathlib import Path

from adapters.workspace import failures
from adapters.workspace.git import Git, Output
from adapters.workspace.kinds import warnings_about
from domain.errors import InvalidInput
from domain.workspaces.ports import Base

_SHORT = 12
_STATUS_BYTES = 1 << 20


def inspect(git: Git, repo_path: str) -> Base:
    """Raises InvalidInput (field `repo`) for what is no repository of its own, or has no commit."""
    path = checked_path(repo_path)
    git = git.in_repository(path)
    top = git.try_run("rev-parse", "--is-bare-repository", "--is-inside-git-dir", "--is-shallow-repository")
    if top.code != 0:
        raise _not_git(path, top)
    bare, inside, shallow = top.text.split("\n", 2)
    _refuse_inner_folder(git, path, bare=bare == "true", inside_git_dir=inside == "true")
    names = git.try_run("log", "-1", "--format=%H %T", "HEAD", "--")
    if names.code != 0:
        raise InvalidInput(
            f"The repository {path} has no commit that a run could start from: {_said(names)}",
            hint="Make a first commit (`git commit`), then start the run again.",
            field="repo",
        )
    commit, tree = names.text.split()
    branch = git.try_run("symbolic-ref", "--short", "--quiet", "HEAD").text or None
    warnings = [] if branch else [f"HEAD is detached at {commit[:_SHORT]}; the run starts from that commit."]
    if bare == "false":
        warnings += _dirty(git, commit)
    warnings += warnings_about(git, commit=commit, shallow=shallow == "true")
    return Base(commit=commit, tree=tree, branch=branch, warnings=tuple(warnings))


def checked_path(repo_path: str) -> Path:
    """Raises InvalidInput for what cannot be a repository on this machine."""
    path = Path(repo_path)
    if "\0" in repo_path or not path.is_absolute():
        raise InvalidInput(
            f"{repo_path!r} is not an absolute path",
            hint="Give the absolute path of a git repository on the worker's machine.",
            field="repo",
        )
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}", hint="Give a readable folder.", field="repo") from error
    if not is_folder:
        raise InvalidInput(f"The folder {path} does not exist", hint="Check the path.", field="repo")
    return path


def _refuse_inner_folder(git: Git, path: Path, *, bare: bool, inside_git_dir: bool) -> None:
    if bare:
        return
    if inside_git_dir:
        checkout = path.parent if path.name == ".git" else None
        raise InvalidInput(
            f"{path} is git's own folder inside a repository, not the repository",
            hint=f"Give {checkout}." if checkout else "Give the folder of its checkout.",
            field="repo",
        )
    top = git.run("rev-parse", "--show-toplevel").stdout.decode(errors="surrogateescape").removesuffix("\n")
    if Path(top).resolve() != path.resolve():
        raise InvalidInput(
            f"{path} is not a git repository, only a folder inside the repository {top}",
            hint=f"Give {top}, or run `git init` in {path} and commit.",
            field="repo",
        )


def _not_git(path: Path, said: Output) -> InvalidInput:
    if "not a git repository" in said.stderr:
        return InvalidInput(
            f"The folder {path} is not a git repository",
            hint=f"Run `git init` and `git commit` in {path}, or give another path.",
            field="repo",
        )
    return InvalidInput(
        f"Git cannot read the repository {path}: {_said(said)}",
        hint=f"See what `git -C {path} status` says.",
        field="repo",
    )


def _dirty(git: Git, commit: str) -> list[str]:
    status, cut = git.with_env(_without_filters(git)).read_capped(
        "status",
        "--porcelain",
        "-z",
        "--no-renames",
        "--untracked-files=normal",
        "--ignore-submodules=all",
        limit_bytes=_STATUS_BYTES,
    )
    entries = [entry for entry in status.split(b"\0") if entry]
    if not entries:
        return []
    untracked = sum(entry.startswith(b"??") for entry in entries)
    least = "at least " if cut else ""
    return [
        f"The checkout is dirty ({least}{len(entries) - untracked} changed, {untracked} untracked); "
        f"the run starts from HEAD {commit[:_SHORT]} and does not see these changes."
    ]


def _without_filters(git: Git) -> dict[str, str]:
    """`git status` would run the clean filters that the repository's own config names: each is made empty."""
    named = git.try_run("config", "--includes", "--name-only", "-z", "--get-regexp", r"^filter\.").paths
    count = int(git.environment["GIT_CONFIG_COUNT"])
    env: dict[str, str] = {}
    for key in named:
        env[f"GIT_CONFIG_KEY_{count}"] = key
        env[f"GIT_CONFIG_VALUE_{count}"] = "false" if key.endswith(".required") else ""
        count += 1
    return {**env, "GIT_CONFIG_COUNT": str(count)}


def _said(output: Output) -> str:
    return failures.last_line(output.stderr) or "it said nothing"
