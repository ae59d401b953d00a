"""A model's patch, applied by git: whole or not at all, never outside the worktree."""

from adapters.workspace import failures
from adapters.workspace.git import Git
from adapters.workspace.mtimes import moved_on
from domain.runs.failure import ErrorKind


def apply(git: Git, patch: str) -> None:
    """Raises PhaseFailure(invalid_output) with git's words. Models miscount the lines of a hunk: that is forgiven."""
    body = (patch if patch.endswith("\n") else patch + "\n").encode(errors="replace")
    with moved_on(git.folder, _names(git, body)):
        applied = git.try_run("apply", "--whitespace=nowarn", "-", stdin=body)
        if applied.code != 0 and "corrupt patch" in applied.stderr:
            applied = git.try_run("apply", "--whitespace=nowarn", "--recount", "-", stdin=body)
    if applied.code == 0:
        return
    cause = failures.from_git("apply", git.folder, applied.stderr)
    if cause.error.kind is ErrorKind.STORAGE:
        raise cause
    raise failures.failure(
        ErrorKind.INVALID_OUTPUT,
        f"The patch does not apply: {failures.first_line(applied.stderr)}",
        excerpt=applied.stderr,
        hint="Make a unified diff against the files as they are now, with paths from the root of the repository.",
    )


def _names(git: Git, patch: bytes) -> list[str]:
    """Files that the patch changes, as far as git can read it."""
    told = git.try_run("apply", "--numstat", "--recount", "-z", "-", stdin=patch).paths
    return [entry.rpartition("\t")[2] for entry in told]
