"""Where a branch was delivered to: has HEAD there moved since the run's base, and would the branch still merge?

Only told, never acted on: nothing there is rewritten, and a look that fails does not fail the delivery.
"""

from adapters.workspace import clone, failures
from adapters.workspace.git import NETWORK_SECONDS, Git
from adapters.workspace.layout import RunPlace
from adapters.workspace.locks import held
from domain.errors import PhaseFailure
from domain.workspaces.ports import MovedBase

_CONFLICTS = 1
"""Exit code of `git merge-tree` for a merge with conflicts; higher ones are failures (2.38 and newer know it)."""


def upload_pack(service: str | None) -> list[str]:
    """`service`: the receiving command of a repository on this machine."""
    return [f"--upload-pack={service.removesuffix('receive-pack')}upload-pack"] if service else []


def look_at_target(
    git: Git, place: RunPlace, *, target: str, service: str | None, head: str | None, name: str | None, tip: str
) -> MovedBase | None:
    """None: HEAD there is the run's base, or has the branch, or there is none. `git` is connected to the target."""
    base = git.try_run("rev-parse", "--verify", "--quiet", f"{place.base_ref}^{{commit}}").text
    if head is None or not base or head in (base, tip):
        return None
    moved = MovedBase(head=head, branch=name)
    try:
        if git.try_run("cat-file", "-e", f"{head}^{{tree}}").code != 0:
            _fetch(git, place, target, service)
        if git.try_run("merge-base", "--is-ancestor", tip, head).code == 0:
            return None
        commits = None
        if git.try_run("merge-base", "--is-ancestor", base, head).code == 0:
            commits = int(git.run("rev-list", "--count", f"{base}..{head}").text)
        return moved.model_copy(update={"commits": commits, "conflicts": _conflicts(git, tip, head)})
    except PhaseFailure:
        return moved


def _fetch(git: Git, place: RunPlace, target: str, service: str | None) -> None:
    with held(place.clone.lock_file) as lock:
        git.at(place.clone.git_dir, git_dir=place.clone.git_dir, held_locks=(*git.held_locks, lock)).run(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-gc",
            "--no-recurse-submodules",
            "--update-shallow",
            *upload_pack(service),
            "--",
            target,
            "HEAD",
            timeout_seconds=clone.CLONE_SECONDS if service else NETWORK_SECONDS,
        )


def _conflicts(git: Git, tip: str, head: str) -> tuple[str, ...] | None:
    merged = git.try_run("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", tip, head)
    if merged.code == 0:
        return ()
    if merged.code != _CONFLICTS:
        return None
    return tuple(dict.fromkeys(failures.printable(path) for path in merged.paths[1:]))
