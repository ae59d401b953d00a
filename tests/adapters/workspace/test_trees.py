"""A worktree as a tree and back: what goes in, what stays out, what a restore puts right."""

import os
from pathlib import Path

import pytest

from adapters.workspace import GitWorkspaces
from domain.errors import InvalidInput, PhaseFailure
from domain.runs.failure import ErrorKind, FailureClass
from tests.adapters.workspace.conftest import Run, UserRepo, git


async def test_prepared_at_base_and_the_user_repository_untouched(
    workspaces: GitWorkspaces, user_repo: UserRepo
) -> None:
    before = user_repo.everything()
    run = await Run(workspaces, user_repo).prepare()
    assert (run.path / "src/calc.py").read_text() == "def add(a, b):\n    return a - b\n"
    assert await run.snapshot() == user_repo.tree
    assert user_repo.everything() == before


async def test_prepare_is_idempotent_and_keeps_what_was_done(run: Run) -> None:
    (run.path / "new.txt").write_text("work\n")
    await run.prepare()
    assert (run.path / "new.txt").read_text() == "work\n"
    with pytest.raises(PhaseFailure, match="starts from"):
        await run.workspaces.prepare(*run.ids, str(run.repo.path), "0" * 40)


async def test_a_later_commit_is_fetched_for_the_next_run(run: Run) -> None:
    run.repo.commit({"later.txt": "later\n"})
    run.repo.git("checkout", "-q", "--detach")
    detached = run.repo.commit({"detached.txt": "on no branch\n"})
    later = await Run(run.workspaces, run.repo, workspace_id=run.workspace_id).prepare()
    assert later.base == detached
    assert (later.path / "detached.txt").exists()
    assert not (run.path / "later.txt").exists()


async def test_a_commit_that_is_not_there(workspaces: GitWorkspaces, user_repo: UserRepo) -> None:
    with pytest.raises(InvalidInput, match="has no commit"):
        await Run(workspaces, user_repo, base="1" * 40).prepare()
    assert (await Run(workspaces, user_repo).prepare()).path.exists()


async def test_a_shallow_clone_and_a_linked_worktree_can_be_used(
    workspaces: GitWorkspaces, user_repo: UserRepo, tmp_path: Path
) -> None:
    user_repo.commit({"second.txt": "2\n"})
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{user_repo.path}", "shallow")
    shallow = await Run(workspaces, UserRepo(tmp_path / "shallow")).prepare()
    assert (shallow.path / "second.txt").exists()
    user_repo.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    linked = await Run(workspaces, UserRepo(tmp_path / "linked")).prepare()
    assert await linked.snapshot() == user_repo.tree


async def test_a_sha256_repository(workspaces: GitWorkspaces, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256", "long")
    repo = UserRepo(tmp_path / "long")
    repo.commit({"a.txt": "a\n"})
    run = await Run(workspaces, repo).prepare()
    (run.path / "a.txt").write_text("b\n")
    assert len(await run.snapshot()) == 64
    assert git(run.path, "status", "--porcelain") == "M a.txt"


async def test_snapshot_has_new_changed_deleted_and_not_ignored(run: Run) -> None:
    (run.path / "src/calc.py").write_text("fixed\n")
    (run.path / "src/new.py").write_text("new\n")
    (run.path / "README.md").unlink()
    (run.path / "build").mkdir()
    (run.path / "build/out.bin").write_text("ignored")
    (run.path / "tool.sh").write_text("#!/bin/sh\n")
    (run.path / "tool.sh").chmod(0o755)
    tree = await run.snapshot("1-implement-1")
    files = run.files(tree)
    assert set(files) == {".gitignore", "src/calc.py", "src/new.py", "tests/test_calc.py", "tool.sh"}
    assert files["tool.sh"].startswith("100755")
    assert git(run.clone, "rev-parse", f"refs/millwright/{run.run_id}/1-implement-1") == tree


async def test_a_label_may_hold_anything(run: Run) -> None:
    tree = await run.snapshot("../../heads/main lock.lock ~^:")
    assert git(run.clone, "for-each-ref", "--format=%(objectname)", f"refs/millwright/{run.run_id}/") == tree
    assert git(run.clone, "for-each-ref", "refs/heads") == ""


async def test_restore_puts_everything_back_but_ignored_files(run: Run) -> None:
    base = await run.snapshot()
    (run.path / "src/calc.py").write_text("broken\n")
    (run.path / "README.md").unlink()
    (run.path / "a/b/c").mkdir(parents=True)
    (run.path / "a/b/c/new.txt").write_text("new\n")
    (run.path / "empty").mkdir()
    (run.path / "build").mkdir()
    (run.path / "build/cache").write_text("kept")
    changed = await run.snapshot()
    await run.restore(base)
    assert (run.path / "src/calc.py").read_text().startswith("def add")
    assert sorted(p.name for p in run.path.iterdir()) == [".git", ".gitignore", "README.md", "build", "src", "tests"]
    assert (run.path / "build/cache").read_text() == "kept"
    assert await run.snapshot() == base
    await run.restore(changed)
    assert (run.path / "a/b/c/new.txt").read_text() == "new\n"
    assert await run.snapshot() == changed


async def test_restore_of_the_same_tree_touches_nothing(run: Run) -> None:
    tree = await run.snapshot()
    before = (run.path / "src/calc.py").stat().st_mtime_ns, (run.path / ".git").stat().st_ino
    await run.restore(tree)
    assert ((run.path / "src/calc.py").stat().st_mtime_ns, (run.path / ".git").stat().st_ino) == before


async def test_a_change_of_same_size_and_time_is_seen(run: Run) -> None:
    path = run.path / "README.md"
    await run.snapshot()
    found = path.stat()
    path.write_text("SAMPLE\n")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert run.content(await run.snapshot(), "README.md") == "SAMPLE"


async def test_files_that_a_newer_gitignore_hid_go_with_it(run: Run) -> None:
    base = await run.snapshot()
    (run.path / ".gitignore").write_text("hidden/\n")
    (run.path / "hidden").mkdir()
    (run.path / "hidden/x").write_text("x")
    await run.snapshot()
    await run.restore(base)
    assert not (run.path / "hidden").exists()
    assert await run.snapshot() == base


async def test_folders_files_and_links_change_places(run: Run) -> None:
    base = await run.snapshot()
    (run.path / "README.md").unlink()
    (run.path / "README.md").mkdir()
    (run.path / "README.md/inner").write_text("x")
    (run.path / "src/calc.py").unlink()
    (run.path / "src").rmdir()
    (run.path / "src").symlink_to("/etc")
    swapped = await run.snapshot()
    assert run.files(swapped)["src"].startswith("120000")
    await run.restore(base)
    assert await run.snapshot() == base
    await run.restore(swapped)
    assert (run.path / "src").is_symlink()
    assert await run.snapshot() == swapped


async def test_an_ignored_obstacle_gives_way_to_a_file_of_the_tree(run: Run) -> None:
    git(run.path, "add", "-f", ".")
    (run.path / "build").write_text("a file here\n")
    (run.path / ".gitignore").write_text("")
    tree = await run.snapshot()
    await run.restore(run.base_tree)
    (run.path / "build").mkdir()
    (run.path / "build/ignored").write_text("x")
    await run.restore(tree)
    assert (run.path / "build").read_text() == "a file here\n"
    assert await run.snapshot() == tree


async def test_names_and_contents_that_are_no_utf8(run: Run) -> None:
    name = b"caf\xe9 \x01\n.txt"
    Path(os.fsdecode(os.fsencode(run.path) + b"/" + name)).write_bytes(b"\xff\xfe\x00bytes")
    (run.path / "latin.txt").write_bytes("na\xefve\n".encode("latin-1"))
    tree = await run.snapshot()
    await run.restore(run.base_tree)
    assert not (run.path / "latin.txt").exists()
    await run.restore(tree)
    assert os.fsdecode(name) in [found.name for found in run.path.iterdir()]
    text = await run.workspaces.diff(*run.ids, run.base_tree, tree, limit_bytes=100_000)
    assert "na\ufffdve" in text
    assert (await run.workspaces.read_files(*run.ids, ["*"], limit_bytes=100_000))["latin.txt"] == "na\ufffdve\n"


async def test_what_git_cannot_hold_is_named(run: Run) -> None:
    (run.path / ".GIT").mkdir()
    (run.path / ".GIT/config").write_text("x")
    with pytest.raises(PhaseFailure) as failure:
        await run.snapshot()
    assert failure.value.error.kind is ErrorKind.INVALID_OUTPUT
    assert ".GIT/config" in failure.value.error.excerpt
    await run.restore(run.base_tree)
    assert not (run.path / ".GIT").exists()
    assert await run.snapshot() == run.base_tree


async def test_crlf_and_lfs_pointers_stay_as_they_are(workspaces: GitWorkspaces, user_repo: UserRepo) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 5\n"
    user_repo.commit(
        {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "a.bin": pointer, "b.txt": "x\r\n"}
    )
    run = await Run(workspaces, user_repo).prepare()
    assert (run.path / "a.bin").read_text() == pointer
    assert (run.path / "b.txt").read_bytes() == b"x\r\n"
    assert await run.snapshot() == user_repo.tree


async def test_diff_is_cut_at_the_limit(run: Run) -> None:
    (run.path / "big.txt").write_text("a line of text\n" * 800_000)  # 12 MB, below git's limit for text
    (run.path / "huge.txt").write_text("a line of text\n" * 3_500_000)  # 52 MB: shown as binary
    tree = await run.snapshot()
    text = await run.workspaces.diff(*run.ids, run.base_tree, tree, limit_bytes=10_000)
    assert len(text) < 10_200
    assert text.endswith("[the diff is cut here: it is longer than 10,000 bytes]\n")
    whole = await run.workspaces.diff(*run.ids, run.base_tree, tree, limit_bytes=50_000_000)
    assert "Binary files /dev/null and b/huge.txt differ" in whole


async def test_diff_and_its_numbers(run: Run) -> None:
    (run.path / "src/calc.py").write_text("def add(a, b):\n    return a + b\n")
    (run.path / "data.bin").write_bytes(b"\0\1\2")
    tree = await run.snapshot()
    text = await run.workspaces.diff(*run.ids, run.base_tree, tree, limit_bytes=100_000)
    assert "-    return a - b\n+    return a + b\n" in text
    stat = await run.workspaces.diff_stat(*run.ids, run.base_tree, tree)
    assert (stat.files_changed, stat.insertions, stat.deletions) == (2, 1, 1)
    same = await run.workspaces.diff_stat(*run.ids, tree, tree)
    assert (same.files_changed, same.insertions, same.deletions) == (0, 0, 0)


async def test_lines_of_a_file_that_git_does_not_read_are_unknown_and_not_zero(run: Run) -> None:
    (run.path / "huge.txt").write_text("a line of text\n" * 1_200_000)  # 18 MB
    tree = await run.snapshot()
    stat = await run.workspaces.diff_stat(*run.ids, run.base_tree, tree)
    assert (stat.files_changed, stat.insertions, stat.deletions) == (1, None, None)
    gone = await run.workspaces.diff_stat(*run.ids, tree, run.base_tree)
    assert (gone.files_changed, gone.insertions, gone.deletions) == (1, None, None)


async def test_a_tree_that_is_not_there(run: Run) -> None:
    with pytest.raises(PhaseFailure) as failure:
        await run.restore("4b825dc642cb6eb9a060e54bf8d69288fbee4905")
    assert failure.value.error.kind is ErrorKind.WORKSPACE
    assert failure.value.error.excerpt
    assert await run.snapshot() == run.base_tree


async def test_the_empty_tree(run: Run) -> None:
    for name in ("src/calc.py", "tests/test_calc.py", "README.md", ".gitignore"):
        (run.path / name).unlink()
    tree = await run.snapshot()
    assert run.files(tree) == {}
    await run.restore(run.base_tree)
    await run.restore(tree)
    assert [p.name for p in run.path.iterdir()] == [".git"]


async def test_without_a_worktree_it_says_what_to_do(workspaces: GitWorkspaces, user_repo: UserRepo) -> None:
    with pytest.raises(PhaseFailure, match="no worktree") as failure:
        await Run(workspaces, user_repo).snapshot()
    assert failure.value.error.failure_class is FailureClass.INFRASTRUCTURE, "a retry prepares it again"


async def test_a_lost_or_torn_index_is_made_anew(run: Run) -> None:
    (run.path / "new.txt").write_text("x\n")
    tree = await run.snapshot()
    index = run.path.parent / f"{run.run_id}.index"
    index.unlink()
    assert await run.snapshot() == tree
    index.write_bytes(index.read_bytes()[:40])
    assert await run.snapshot() == tree
    index.write_bytes(b"")
    await run.restore(run.base_tree)
    assert await run.snapshot() == run.base_tree
