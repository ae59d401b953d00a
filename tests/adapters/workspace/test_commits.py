"""One commit per tree on the run's branch, found again after a crash; delivered once, never over foreign work."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.workspace import GitWorkspaces
from domain.errors import PhaseFailure
from domain.runs.failure import ErrorKind
from domain.runs.ports import CommitFacts
from domain.workspaces.ports import DeliverResult, MovedBase
from tests.adapters.workspace.conftest import Run, UserRepo, git

BRANCH = "millwright/0123456789ab"


async def commit(run: Run, tree: str, iteration: int = 1, branch: str = BRANCH) -> CommitFacts | None:
    return await run.workspaces.commit(
        *run.ids,
        tree=tree,
        message="Fix add\n\nIt subtracted.",
        trailers={"Millwright-Run": str(run.run_id), "Millwright-Phase": f"{iteration}/commit/1"},
        branch=branch,
        base_commit=run.base,
    )


async def change(run: Run, text: str = "fixed\n") -> str:
    (run.path / "src/calc.py").write_text(text)
    return await run.snapshot(text.strip())


async def deliver(run: Run, remote: str = "origin", branch: str = BRANCH) -> DeliverResult:
    return await run.workspaces.deliver(*run.ids, branch=branch, remote=remote, repo_path=str(run.repo.path))


async def test_a_commit_says_who_and_why(run: Run) -> None:
    facts = await commit(run, await change(run))
    assert facts is not None
    assert (facts.subject, facts.files_changed, facts.insertions, facts.deletions) == ("Fix add", 1, 1, 2)
    shown = git(run.clone, "log", "-1", "--format=%an <%ae> %cn <%ce>%n%P%n%B", BRANCH)
    assert shown == (
        f"Millwright <millwright@localhost> Millwright <millwright@localhost>\n{run.base}\n"
        f"Fix add\n\nIt subtracted.\n\nMillwright-Run: {run.run_id}\nMillwright-Phase: 1/commit/1"
    )


async def test_repeated_it_is_the_same_commit(run: Run) -> None:
    tree = await change(run)
    first = await commit(run, tree)
    assert await commit(run, tree) == first
    second = await commit(run, await change(run, "better\n"), iteration=2)
    assert second is not None and first is not None
    assert await commit(run, tree) == first
    assert git(run.clone, "rev-list", f"{run.base}..{BRANCH}").split() == [second.sha, first.sha]


async def test_no_change_is_no_commit(run: Run) -> None:
    assert await commit(run, run.base_tree) is None
    tree = await change(run)
    assert await commit(run, tree) is not None
    assert await commit(run, tree, iteration=2) is None


async def test_odd_messages_trailers_and_branches(run: Run) -> None:
    tree = await change(run)
    facts = await run.workspaces.commit(
        *run.ids, tree=tree, message="", trailers={"Key": "two\nlines"}, branch=BRANCH, base_commit=run.base
    )
    assert facts is not None and facts.subject == "Change"
    assert git(run.clone, "log", "-1", "--format=%B", BRANCH) == "Change\n\nKey: two lines"
    for bad in ("", "-x", "a..b", "a b", "x.lock"):
        with pytest.raises(PhaseFailure, match="no name for a branch"):
            await commit(run, tree, branch=bad)


async def test_delivered_once(run: Run) -> None:
    facts = await commit(run, await change(run))
    assert facts is not None
    head, before = run.repo.head, run.repo.git("status", "--porcelain", "--branch")
    assert await deliver(run) == DeliverResult(branch=BRANCH, commit=facts.sha, already_there=False)
    assert await deliver(run) == DeliverResult(branch=BRANCH, commit=facts.sha, already_there=True)
    assert run.repo.git("rev-parse", BRANCH) == facts.sha
    assert (run.repo.head, run.repo.git("status", "--porcelain", "--branch")) == (head, before)
    assert (run.repo.path / "src/calc.py").read_text().startswith("def add")


async def test_a_later_commit_of_the_run_moves_it_forward(run: Run) -> None:
    await commit(run, await change(run))
    await deliver(run)
    facts = await commit(run, await change(run, "better\n"), iteration=2)
    assert facts is not None
    assert not (await deliver(run)).already_there
    assert run.repo.git("rev-parse", BRANCH) == facts.sha


@pytest.mark.parametrize("where", ["at base", "elsewhere", "moved on"])
async def test_a_foreign_branch_is_named_and_left(run: Run, where: str) -> None:
    await commit(run, await change(run))
    if where == "moved on":
        await deliver(run)
        run.repo.git("checkout", "-q", BRANCH)
    else:
        run.repo.git("checkout", "-q", "-b", BRANCH)
    theirs = run.base if where == "at base" else run.repo.commit({"theirs.txt": "x\n"})
    with pytest.raises(PhaseFailure) as failure:
        await deliver(run)
    assert failure.value.error.kind is ErrorKind.WORKSPACE
    assert BRANCH in failure.value.error.message
    assert theirs in failure.value.error.message
    assert run.repo.git("rev-parse", BRANCH) == theirs


async def test_the_checked_out_branch_is_never_moved(run: Run) -> None:
    run.repo.git("config", "receive.denyCurrentBranch", "updateInstead")
    run.repo.git("symbolic-ref", "HEAD", f"refs/heads/{BRANCH}")  # checked out, not born yet
    await commit(run, await change(run))
    with pytest.raises(PhaseFailure) as failure:
        await deliver(run)
    assert "refus" in failure.value.error.excerpt
    assert run.repo.git("for-each-ref", f"refs/heads/{BRANCH}") == ""


async def test_another_remote_and_one_that_is_gone(run: Run, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "other remote.git")
    facts = await commit(run, await change(run))
    assert facts is not None
    await deliver(run, remote=f"{tmp_path}/other remote.git")
    assert git(tmp_path / "other remote.git", "rev-parse", BRANCH) == facts.sha
    for remote, kind in (
        (f"{tmp_path}/missing", ErrorKind.WORKSPACE),
        ("--upload-pack=touch x", ErrorKind.WORKSPACE),
        ("ext::sh -c true", ErrorKind.WORKSPACE),
        ("http://user:token@127.0.0.1:9/x.git", ErrorKind.CONNECTION),
    ):
        with pytest.raises(PhaseFailure) as failure:
            await deliver(run, remote=remote)
        assert failure.value.error.kind is kind
        assert "token" not in failure.value.error.model_dump_json()


async def test_nothing_committed_is_nothing_to_deliver(run: Run) -> None:
    with pytest.raises(PhaseFailure, match="nothing was committed"):
        await deliver(run)


async def test_runs_of_one_workspace_side_by_side(workspaces: GitWorkspaces, user_repo: UserRepo) -> None:
    first = Run(workspaces, user_repo)
    runs = [Run(workspaces, user_repo, workspace_id=first.workspace_id) for _ in range(8)]

    async def whole(number: int, run: Run) -> str:
        await run.prepare()
        for turn in range(4):
            tree = await change(run, f"run {number} turn {turn}\n")
            await run.restore(run.base_tree)
            await run.restore(tree)
            assert run.content(tree, "src/calc.py") == f"run {number} turn {turn}"
            await commit(run, tree, iteration=turn, branch=f"millwright/{number}")
        return (await deliver(run, branch=f"millwright/{number}")).commit

    delivered = await asyncio.gather(*(whole(number, run) for number, run in enumerate(runs)))
    assert len(set(delivered)) == 8
    assert len(user_repo.git("branch", "--list", "millwright/*").splitlines()) == 8
    assert git(runs[0].clone, "fsck", "--no-dangling") == ""


async def test_the_same_commit_is_made_by_every_worker(run: Run, tmp_path: Path) -> None:
    """So a push that a killed worker did is found to be done by the next one, wherever that runs."""
    elsewhere = GitWorkspaces(tmp_path / "elsewhere")
    try:
        other = await Run(elsewhere, run.repo, run.workspace_id, run.run_id, run.base).prepare()
        made_at = datetime(2026, 1, 2, 3, 4, 5, 600_000, UTC)
        made = [
            await each.workspaces.commit(
                *each.ids,
                tree=await change(each),
                message="Mend",
                trailers={"Millwright-Run": "1"},
                branch=BRANCH,
                base_commit=each.base,
                made_at=made_at,
            )
            for each in (run, other)
        ]
        assert made[0] == made[1] is not None
        assert git(other.clone, "log", "-1", "--format=%at %ct", BRANCH).split() == [str(int(made_at.timestamp()))] * 2
        assert not (await deliver(run)).already_there
        assert (await deliver(other)).already_there
    finally:
        elsewhere.close()


async def test_a_base_that_moved_is_told_and_left(run: Run) -> None:
    await commit(run, await change(run))
    run.repo.commit({"other.txt": "x\n"})
    head = run.repo.commit({"other.txt": "y\n"})
    moved = (await deliver(run)).moved
    assert moved == MovedBase(head=head, branch="main", commits=2, conflicts=())
    assert "2 commits past the run's base; the branch merges without conflict" in moved.line
    assert run.repo.head == head
    run.repo.git("merge", "-q", BRANCH)  # and so it does
    assert (await deliver(run)).moved is None


async def test_conflicts_with_a_base_that_moved_are_named(run: Run) -> None:
    await commit(run, await change(run))
    run.repo.commit({"src/calc.py": "def add(a, b):\n    return b + a\n", "fine.txt": "x"})
    moved = (await deliver(run)).moved
    assert moved is not None
    assert (moved.commits, moved.conflicts) == (1, ("src/calc.py",))
    assert "conflicts in src/calc.py" in moved.line


async def test_a_base_that_was_rewritten_is_told(run: Run) -> None:
    await commit(run, await change(run))
    run.repo.git("commit", "-q", "--amend", "-m", "rewritten")
    result = await deliver(run)
    assert result.moved is not None and result.moved.commits is None
    assert "does not contain" in result.moved.line
    assert run.repo.git("rev-parse", BRANCH) == result.commit


async def test_another_remote_says_so_as_well(run: Run, tmp_path: Path) -> None:
    await commit(run, await change(run))
    git(tmp_path, "clone", "-q", "--bare", str(run.repo.path), "other.git")
    there = UserRepo(tmp_path / "work")
    git(tmp_path, "clone", "-q", str(tmp_path / "other.git"), "work")
    head = there.commit({"theirs.txt": "x"})
    there.git("push", "-q", "origin", "main")
    assert (await deliver(run, remote=str(tmp_path / "other.git"))).moved == MovedBase(
        head=head, branch="main", commits=1, conflicts=()
    )
