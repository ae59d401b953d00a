"""The run's branch: one commit per tree, found again by its trailers, and its delivery to a remote."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from adapters.workspace import failures
from adapters.workspace.git import IDENTITY, NETWORK_SECONDS, Git, Output, served_by
from adapters.workspace.layout import RunPlace
from adapters.workspace.target import look_at_target, upload_pack
from adapters.workspace.trees import diff_stat
from domain.errors import PhaseFailure
from domain.runs.failure import ErrorKind
from domain.runs.ports import CommitFacts
from domain.workspaces.ports import DeliverResult

ORIGIN = "origin"
_NETWORK_WORDS = (
    "Could not resolve host",
    "Failed to connect",
    "Connection refused",
    "Connection timed out",
    "Connection reset",
)
_CREDENTIAL_WORDS = ("Authentication failed", "could not read Username", "Permission denied (", "Host key verification")
"""Git has one exit code for all of these, so its words must decide (LC_ALL=C)."""


@dataclass(frozen=True)
class _Commit:
    sha: str
    tree: str
    message: str

    @property
    def trailers(self) -> set[str]:
        return set(self.message.strip().rpartition("\n\n")[2].splitlines())


def commit(
    git: Git,
    place: RunPlace,
    *,
    tree: str,
    message: str,
    trailers: Mapping[str, str],
    branch: str,
    base_commit: str,
    made_at: datetime | None = None,
) -> CommitFacts | None:
    """The tree as a commit on the branch, over its tip or the base; None when that has this tree already.

    The run's git lock is held: only its holder moves the run's branch, and still by compare-and-swap.
    """
    ref = checked_ref(git, branch)
    (place.clone.git_dir / f"{ref}.lock").unlink(missing_ok=True)
    lines = [f"{_one_line(key)}: {_one_line(value)}" for key, value in trailers.items()]
    tip = _resolve(git, ref)
    on_branch = _commits(git, tip, base_commit) if tip else []
    for found in on_branch:
        if lines and found.trailers.issuperset(lines):
            return _facts(git, found)
    parent = tip or base_commit
    if git.run("rev-parse", "--verify", f"{parent}^{{tree}}").text == tree:
        return None
    text = message.strip() or "Change"
    text = f"{text}\n\n" + "\n".join(lines) + "\n" if lines else f"{text}\n"
    sha = (
        git.with_env(_identity(made_at))
        .run("commit-tree", tree, "-p", parent, stdin=text.encode(errors="replace"))
        .text
    )
    git.run("update-ref", ref, sha, tip or "0" * len(sha))
    return _facts(git, _Commit(sha, tree, text))


def deliver(
    git: Git,
    place: RunPlace,
    *,
    branch: str,
    remote: str,
    repo_path: str,
    remote_env: Mapping[str, str],
) -> DeliverResult:
    """Looks the branch up at the remote, then creates it there, or moves it forward over commits of this run.

    Raises PhaseFailure(workspace) when the remote's branch holds anything else, and connection errors as such."""
    ref = checked_ref(git, branch)
    tip = _resolve(git, ref)
    if tip is None:
        raise failures.failure(
            ErrorKind.WORKSPACE,
            f"There is no branch {branch} to deliver: nothing was committed on it",
            hint="Put a `git` phase with `action: commit` before the one that delivers.",
        )
    target = repo_path if remote == ORIGIN else remote
    git, service = _connection(git, target, remote_env)
    seen = _look_up(git, target, ref, service)
    there = seen.branch
    if there != tip:
        if there is not None and there not in {found.sha for found in _commits(git, tip, place.base_ref)}:
            raise _foreign(branch, target, there)
        _push(git, target, branch, tip, there, service)
    moved = look_at_target(git, place, target=target, service=service, head=seen.head, name=seen.head_branch, tip=tip)
    return DeliverResult(branch=branch, commit=tip, already_there=there == tip, moved=moved)


def _push(git: Git, target: str, branch: str, tip: str, there: str | None, service: str | None) -> None:
    """Only from what the look-up saw. Raises PhaseFailure."""
    ref = f"refs/heads/{branch}"
    pushed = git.try_run(
        "push",
        "--quiet",
        "--no-verify",
        "--no-follow-tags",
        "--no-signed",
        f"--force-with-lease={ref}:{there or ''}",  # git's compare-and-swap: only from what the look-up saw
        *([f"--receive-pack={service}"] if service else []),
        "--",
        target,
        f"{ref}:{ref}",
        timeout_seconds=NETWORK_SECONDS,
    )
    if pushed.code == 0:
        return
    now = _look_up(git, target, ref, service).branch
    if now not in (None, there):
        raise _foreign(branch, target, now or "")
    raise _remote_failure("push", target, pushed)


def _identity(made_at: datetime | None) -> dict[str, str]:
    name, _, address = IDENTITY.rstrip(">").partition(" <")
    date = f"@{int(made_at.timestamp())} +0000" if made_at is not None else None
    return {
        **({"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date is not None else {}),
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": address,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": address,
    }


def checked_ref(git: Git, branch: str) -> str:
    ref = f"refs/heads/{branch}"
    if branch.startswith("-") or git.try_run("check-ref-format", ref).code != 0:
        raise failures.failure(
            ErrorKind.WORKSPACE, f"{branch!r} is no name for a branch", hint="See `git help check-ref-format`."
        )
    return ref


def _resolve(git: Git, ref: str) -> str | None:
    found = git.try_run("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    return found.text if found.code == 0 else None


def _commits(git: Git, tip: str, base: str) -> list[_Commit]:
    """The commits of the branch over the base, newest first."""
    said = git.run("log", "-z", "--no-show-signature", "--format=%H%n%T%n%B", tip, f"^{base}", "--")
    commits = [entry.split("\n", 2) for entry in said.stdout.decode(errors="replace").split("\0") if entry]
    return [_Commit(sha, tree, message) for sha, tree, message in commits]


def _facts(git: Git, found: _Commit) -> CommitFacts:
    stat = diff_stat(git, f"{found.sha}^1", found.sha)
    return CommitFacts(
        sha=found.sha,
        subject=found.message.strip().splitlines()[0],
        files_changed=stat.files_changed,
        insertions=stat.insertions,
        deletions=stat.deletions,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _connection(git: Git, target: str, remote_env: Mapping[str, str]) -> tuple[Git, str | None]:
    """Git as this remote needs it, and the receiving command where it runs on this machine (hooks off there too)."""
    if target.startswith("-"):
        raise failures.failure(ErrorKind.WORKSPACE, f"{target!r} is no remote", hint="Give a path or a URL.")
    if target.startswith("/"):
        if not Path(target).is_dir():
            raise failures.failure(
                ErrorKind.WORKSPACE,
                f"The repository {target} is not there any more",
                hint="Put it back, then retry the phase; or take the commits from the phase's artifact branch.bundle "
                "(`git fetch branch.bundle BRANCH`).",
            )
        return git, served_by(git.binary, "receive-pack")
    ours = {"GIT_ALLOW_PROTOCOL": "file:https:http:ssh:git", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
    return git.with_env({**remote_env, **ours}), None


@dataclass(frozen=True)
class _Seen:
    """What a repository has, as one look-up told it."""

    branch: str | None
    head: str | None
    head_branch: str | None


def _look_up(git: Git, target: str, ref: str, service: str | None) -> _Seen:
    asked = [*upload_pack(service), "--symref", "--", target, ref, "HEAD"]
    said = git.try_run("ls-remote", "--quiet", *asked, timeout_seconds=NETWORK_SECONDS)
    if said.code != 0:
        raise _remote_failure("ls-remote", target, said)
    found: dict[str, str] = {}
    head_branch = None
    for line in said.text.splitlines():
        value, _, name = line.partition("\t")
        if value.startswith("ref: "):
            head_branch = value.removeprefix("ref: refs/heads/") if name == "HEAD" else head_branch
        else:
            found[name] = value
    return _Seen(branch=found.get(ref), head=found.get("HEAD"), head_branch=head_branch)


def _foreign(branch: str, target: str, there: str) -> PhaseFailure:
    return failures.failure(
        ErrorKind.WORKSPACE,
        f"The branch {branch} exists at {target} with the commit {there}, which this run did not make",
        hint=f"Rename or delete that branch there (`git branch -m {branch} NEW_NAME`), then retry the phase: "
        "a branch of somebody else is never overwritten.",
    )


def _remote_failure(command: str, target: str, said: Output) -> PhaseFailure:
    if any(words in said.stderr for words in _NETWORK_WORDS):
        return failures.failure(
            ErrorKind.CONNECTION,
            f"git {command}: no connection to {target}: {failures.last_line(said.stderr)}",
            excerpt=said.stderr,
            hint="Check the network and the address; the phase is tried again.",
        )
    if any(words in said.stderr for words in _CREDENTIAL_WORDS):
        return failures.failure(
            ErrorKind.AUTHENTICATION,
            f"git {command}: {target} does not let us in: {failures.last_line(said.stderr)}",
            excerpt=said.stderr,
            hint="Use an ssh URL whose key the worker's user has, without a pass phrase; then retry the phase.",
        )
    return failures.from_git(command, target, said.stderr)
