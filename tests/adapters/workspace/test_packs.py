"""A tree built again on a worker with another state folder, from nothing but its packs."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.workspace import GitWorkspaces
from domain.errors import InvalidInput, PhaseFailure
from domain.runs.failure import ErrorKind
from tests.adapters.workspace.conftest import Run, UserRepo, git


@pytest.fixture
async def elsewhere(tmp_path: Path) -> AsyncIterator[GitWorkspaces]:
    made = GitWorkspaces(tmp_path / "another machine" / "workspaces")
    yield made
    made.close()


def _moved(run: Run, to: GitWorkspaces) -> Run:
    return Run(to, run.repo, run.workspace_id, run.run_id, run.base)


async def _checkpoint(run: Run, label: str, known: str) -> tuple[str, Path]:
    made = await run.workspaces.packs.checkpoint(*run.ids, label=label, known_tree=known)
    assert made.pack is not None
    assert made.known_tree == known
    return made.tree, made.pack


async def _rebuild(run: Run, packs: list[Path], tree: str, base: Path | None = None) -> None:
    await run.workspaces.packs.rebuild(*run.ids, base_commit=run.base, base=base, packs=packs, tree=tree)


async def test_turn_by_turn_elsewhere_without_the_users_repository(run: Run, elsewhere: GitWorkspaces) -> None:
    (run.path / "src" / "calc.py").write_text("def add(a, b):\n    return a + b\n")
    (run.path / "new").mkdir()
    (run.path / "new" / "data.bin").write_bytes(os.urandom(50_000))
    first, pack_1 = await _checkpoint(run, "t1", run.base_tree)
    (run.path / "README.md").unlink()
    (run.path / "tests" / "test_calc.py").rename(run.path / "tests" / "test_moved.py")
    (run.path / "link").symlink_to("src/calc.py")
    (run.path / "src" / "calc.py").chmod(0o755)
    second, pack_2 = await _checkpoint(run, "t2", first)
    base = await run.workspaces.packs.pack_base(*run.ids, run.base)
    shutil.rmtree(run.repo.path)  # the other machine has none, nor this one's state folder

    other = _moved(run, elsewhere)
    with pytest.raises(InvalidInput):
        await elsewhere.prepare(*other.ids, str(run.repo.path), run.base)
    await _rebuild(other, [pack_1, pack_2], second, base)
    await elsewhere.prepare(*other.ids, str(run.repo.path), run.base)
    await other.restore(second)
    assert await other.snapshot() == second
    assert other.files(second) == run.files(second)
    git(other.clone, "fsck", "--connectivity-only", second)
    await other.restore(first)
    assert await other.snapshot() == first
    await other.restore(git(other.clone, "rev-parse", f"{run.base}^{{tree}}"))
    assert (other.path / "README.md").read_text() == "sample\n"


async def test_where_the_repository_is_reached_the_packs_alone_are_enough(run: Run, elsewhere: GitWorkspaces) -> None:
    (run.path / "README.md").write_text("other\n")
    tree, pack = await _checkpoint(run, "t1", run.base_tree)
    other = await _moved(run, elsewhere).prepare()
    assert not await elsewhere.packs.has_tree(*other.ids, tree)
    await _rebuild(other, [pack], tree)
    assert await elsewhere.packs.has_tree(*other.ids, tree)
    await other.restore(tree)
    assert await other.snapshot() == tree
    assert git(other.path, "log", "--format=%s") == "base", "its history is there, too"


async def test_a_pack_holds_what_is_new_and_nothing_else(run: Run) -> None:
    big = "\n".join(str(number) for number in range(50_000))
    (run.path / "big.txt").write_text(big)
    known = await run.snapshot("known")
    (run.path / "big.txt").write_text(big.replace("\n777\n", "\nchanged\n"))
    tree, pack = await _checkpoint(run, "t1", known)
    assert pack.stat().st_size < 2_000, "one line of a large file is a difference"
    assert int.from_bytes(pack.read_bytes()[8:12], "big") == 2, "the root and the one file"
    again = await run.workspaces.packs.checkpoint(*run.ids, label="t2", known_tree=tree)
    assert (again.tree, again.pack) == (tree, None)


async def test_many_checkpoints_folded_into_one_pack(run: Run, elsewhere: GitWorkspaces) -> None:
    tree = run.base_tree
    for turn in range(5):
        (run.path / f"file-{turn}").write_text("x" * turn)
        tree, pack = await _checkpoint(run, f"t{turn}", tree)
        pack.unlink()
    folded = await run.workspaces.packs.fold(*run.ids, known_tree=run.base_tree, tree=tree)
    assert folded.pack is not None
    other = await _moved(run, elsewhere).prepare()
    await _rebuild(other, [folded.pack], tree)
    await other.restore(tree)
    assert await other.snapshot() == tree


async def test_a_lost_pack_is_said_and_leaves_no_half_tree(run: Run, elsewhere: GitWorkspaces) -> None:
    (run.path / "a").write_text("a")
    first, _ = await _checkpoint(run, "t1", run.base_tree)
    (run.path / "sub").mkdir()
    (run.path / "sub" / "b").write_text("b")
    second, pack = await _checkpoint(run, "t2", first)
    other = await _moved(run, elsewhere).prepare()
    with pytest.raises(PhaseFailure) as lost:
        await _rebuild(other, [pack], second)
    assert lost.value.error.kind in (ErrorKind.STORAGE, ErrorKind.WORKSPACE)
    assert lost.value.error.hint
    pack.write_bytes(pack.read_bytes()[:-30])
    with pytest.raises(PhaseFailure):
        await _rebuild(other, [pack], second)
    assert not list((other.clone / "objects" / "pack").glob("tmp_*"))


async def test_packs_that_leave_a_hole_are_said(run: Run) -> None:
    (run.path / "a").write_text("a")
    tree, pack = await _checkpoint(run, "t1", run.base_tree)
    blob = git(run.clone, "rev-parse", f"{tree}:a")
    (run.clone / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(PhaseFailure, match="not whole") as lost:
        await _rebuild(run, [], tree)
    assert lost.value.error.kind is ErrorKind.STORAGE
    await _rebuild(run, [pack], tree)


async def test_the_branch_goes_along_and_can_be_delivered_from_there(run: Run, elsewhere: GitWorkspaces) -> None:
    for number in range(3):  # a base with history, of which the other machine sees nothing
        run.repo.commit({"README.md": f"{number}\n"}, str(number))
    run = await Run(run.workspaces, run.repo).prepare()
    (run.path / "README.md").write_text("mended\n")
    tree = await run.snapshot()
    made = await run.workspaces.commit(
        *run.ids, tree=tree, message="Mend", trailers={"Millwright-Run": "1"}, branch="mw/1", base_commit=run.base
    )
    assert made is not None
    bundle = await run.workspaces.packs.bundle(*run.ids, branch="mw/1", base_commit=run.base)
    base = await run.workspaces.packs.pack_base(*run.ids, run.base)
    hidden = run.repo.path.rename(run.repo.path.with_name("away"))

    other = _moved(run, elsewhere)
    await _rebuild(other, [], git(run.clone, "rev-parse", f"{run.base}^{{tree}}"), base)
    await elsewhere.prepare(*other.ids, str(run.repo.path), run.base)
    await elsewhere.packs.rebuild_branch(*other.ids, branch="mw/1", bundle=bundle, commit=made.sha)
    assert git(other.clone, "log", "--format=%s", "mw/1", "--") == "Mend\n2", "no older history than the base"
    hidden.rename(run.repo.path)
    there = await elsewhere.deliver(*other.ids, branch="mw/1", remote="origin", repo_path=str(run.repo.path))
    assert (there.commit, there.already_there) == (made.sha, False)
    assert run.repo.git("log", "--format=%s", "mw/1") == "Mend\n2\n1\n0\nbase"


async def test_a_person_can_take_the_bundle(run: Run, tmp_path: Path) -> None:
    (run.path / "README.md").write_text("mended\n")
    tree = await run.snapshot()
    made = await run.workspaces.commit(
        *run.ids, tree=tree, message="Mend", trailers={}, branch="mw/1", base_commit=run.base
    )
    assert made is not None
    bundle = await run.workspaces.packs.bundle(*run.ids, branch="mw/1", base_commit=run.base)
    run.repo.git("fetch", "-q", str(bundle), "mw/1:mw/1")
    assert run.repo.git("rev-parse", "mw/1") == made.sha


async def test_a_sha256_repository(tmp_path: Path, workspaces: GitWorkspaces, elsewhere: GitWorkspaces) -> None:
    path = tmp_path / "sha256"
    path.mkdir()
    git(path, "init", "-q", "-b", "main", "--object-format=sha256")
    repo = UserRepo(path)
    repo.commit({"a": "1\n"})
    run = await Run(workspaces, repo).prepare()
    (run.path / "a").write_text("2\n")
    tree, pack = await _checkpoint(run, "t1", run.base_tree)
    base = await workspaces.packs.pack_base(*run.ids, run.base)
    other = _moved(run, elsewhere)
    await _rebuild(other, [pack], tree, base)
    assert other.content(tree, "a") == "2"


@pytest.mark.parametrize("torn", ["blob", "tree", "base"])
async def test_what_a_power_loss_tore_is_built_again(run: Run, torn: str) -> None:
    (run.path / "src" / "calc.py").write_text("fixed\n")
    tree, pack = await _checkpoint(run, "t1", run.base_tree)
    base = await run.workspaces.packs.pack_base(*run.ids, run.base)
    await run.restore(run.base_tree)
    assert await run.workspaces.packs.has_tree(*run.ids, tree)
    if torn == "base":
        git(run.clone, "unpack-objects", "-q", stdin=_take_packs_away(run))
    name = {"tree": tree, "blob": f"{tree}:src/calc.py", "base": f"{run.base}:README.md"}[torn]
    loose = git(run.clone, "rev-parse", name)
    path = run.clone / "objects" / loose[:2] / loose[2:]
    path.chmod(0o644)
    path.write_bytes(b"")
    assert not await run.workspaces.packs.has_tree(*run.ids, tree)
    await _rebuild(run, [pack], tree, base if torn == "base" else None)
    assert await run.workspaces.packs.has_tree(*run.ids, tree)
    await run.restore(tree)
    assert await run.snapshot() == tree


def _take_packs_away(run: Run) -> bytes:
    """The one pack of a fresh clone, whose objects are to lie loose."""
    (pack,) = (run.clone / "objects" / "pack").glob("*.pack")
    content = pack.read_bytes()
    for file in pack.parent.iterdir():
        file.unlink()
    return content


async def test_an_older_base_after_a_newer_one_was_built_from_its_pack(run: Run, elsewhere: GitWorkspaces) -> None:
    """The clone ends at the newer base; a run that starts from before it still gets its own base with history."""
    older = run.base
    newer = await Run(run.workspaces, run.repo, base=run.repo.commit({"README.md": "newer\n"})).prepare()
    base = await newer.workspaces.packs.pack_base(*newer.ids, newer.base)
    there = _moved(newer, elsewhere)
    await _rebuild(there, [], newer.base_tree, base)
    earlier = await Run(elsewhere, run.repo, there.workspace_id, base=older).prepare()
    assert await earlier.snapshot() == run.base_tree
    latest = Run(elsewhere, run.repo, there.workspace_id, base=run.repo.commit({"README.md": "latest\n"}))
    await latest.prepare()
    assert (latest.path / "README.md").read_text() == "latest\n"
    git(latest.path, "log", "--stat")
