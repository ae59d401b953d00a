"""A model's files and patches: inside the worktree, whole or not at all."""

from pathlib import Path

import pytest

from domain.errors import PhaseFailure
from domain.runs.failure import ErrorKind
from tests.adapters.workspace.conftest import Run


async def test_write_and_delete(run: Run) -> None:
    (run.path / "README.md").chmod(0o755)
    await run.workspaces.write_files(
        *run.ids,
        {
            "src/calc.py": "fixed\n",
            "new/deep/file.txt": "é\n",
            "README.md": "still executable\n",
            ".gitignore": None,
            "gone": None,
        },
    )
    assert (run.path / "src/calc.py").read_text() == "fixed\n"
    assert (run.path / "new/deep/file.txt").read_bytes() == b"\xc3\xa9\n"
    assert (run.path / "README.md").stat().st_mode & 0o777 == 0o755
    assert not (run.path / ".gitignore").exists()
    assert {p.name for p in run.path.iterdir()} == {".git", "README.md", "new", "src", "tests"}


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "../outside", "a/../../outside", "a//b", "./a", "", ".", "a/", ".git/config", "src/.GIT/hooks/x",
        "nul\0", "link/file", "link", "src", "README.md/inner", "x" * 300, "\ud800", "inside-link/calc.py",
    ],
)  # fmt: skip
async def test_a_path_that_leaves_the_worktree_writes_nothing(run: Run, path: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (run.path / "link").symlink_to(tmp_path / "outside")
    (run.path / "inside-link").symlink_to("src")
    with pytest.raises(PhaseFailure) as failure:
        await run.workspaces.write_files(*run.ids, {"aaa.txt": "first\n", path: "text\n"})
    assert failure.value.error.kind is ErrorKind.INVALID_OUTPUT
    assert failure.value.error.hint
    assert not (run.path / "aaa.txt").exists()
    assert list((tmp_path / "outside").iterdir()) == []
    assert not (tmp_path / "state folder/workspaces" / str(run.workspace_id) / "runs/outside").exists()


async def test_a_link_can_be_deleted_not_what_it_points_to(run: Run, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("kept")
    (run.path / "link").symlink_to(tmp_path / "target")
    await run.workspaces.write_files(*run.ids, {"link": None})
    assert not (run.path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "kept"


async def test_text_that_is_no_unicode_and_paths_that_cross_each_other(run: Run) -> None:
    for files in ({"a.txt": "\ud800"}, {"new": "a file\n", "new/inner": "and a folder\n"}):
        with pytest.raises(PhaseFailure) as failure:
            await run.workspaces.write_files(*run.ids, files)
        assert failure.value.error.kind is ErrorKind.INVALID_OUTPUT


PATCH = """\
diff --git a/src/calc.py b/src/calc.py
--- a/src/calc.py
+++ b/src/calc.py
@@ -1,2 +1,2 @@
 def add(a, b):
-    return a - b
+    return a + b
diff --git a/new.txt b/new.txt
new file mode 100644
--- /dev/null
+++ b/new.txt
@@ -0,0 +1 @@
+hello
"""


async def test_a_patch(run: Run) -> None:
    await run.workspaces.apply_patch(*run.ids, PATCH)
    assert (run.path / "src/calc.py").read_text().endswith("a + b\n")
    assert (run.path / "new.txt").read_text() == "hello\n"


async def test_miscounted_hunks_are_forgiven(run: Run) -> None:
    await run.workspaces.apply_patch(*run.ids, PATCH.replace("@@ -1,2 +1,2 @@", "@@ -1,7 +1,9 @@").rstrip("\n"))
    assert (run.path / "src/calc.py").read_text().endswith("a + b\n")


@pytest.mark.parametrize(
    "patch",
    [
        PATCH.replace("a - b", "something else"),
        PATCH.replace("new.txt", "../outside.txt"),
        PATCH.replace("new.txt", ".git/hooks/pre-commit"),
        PATCH.replace("new.txt", "link/file.txt"),
        "no patch at all",
        "",
    ],
)
async def test_a_patch_that_does_not_apply_leaves_the_tree(run: Run, patch: str, tmp_path: Path) -> None:
    (run.path / "link").symlink_to(tmp_path)
    before = await run.snapshot()
    with pytest.raises(PhaseFailure) as failure:
        await run.workspaces.apply_patch(*run.ids, patch)
    assert failure.value.error.kind is ErrorKind.INVALID_OUTPUT
    assert failure.value.error.excerpt
    assert await run.snapshot() == before
    assert not (tmp_path / "file.txt").exists()


async def test_read_files(run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text("secret")
    (run.path / "src/link.py").symlink_to(tmp_path / "secret.py")
    (run.path / "src/new.py").write_text("untracked\n")
    (run.path / "src/binary.py").write_bytes(b"\0\1")
    (run.path / "src/cache.pyc").write_text("ignored")
    (run.path / "tests/test_calc.py").unlink()
    found = await run.workspaces.read_files(*run.ids, ["*.py", "!gone.py"], limit_bytes=10_000)
    assert found == {"src/calc.py": "def add(a, b):\n    return a - b\n", "src/new.py": "untracked\n"}
    assert await run.workspaces.read_files(*run.ids, [], limit_bytes=10_000) == {}


async def test_read_files_names_what_does_not_fit(run: Run) -> None:
    (run.path / "b.txt").write_text("x" * 5_000)
    (run.path / "c.txt").write_text("small\n")
    found = await run.workspaces.read_files(*run.ids, ["*.txt"], limit_bytes=1_000)
    assert "5,000 bytes" in found["b.txt"]
    assert found["c.txt"] == "small\n"
    assert await run.workspaces.read_files(*run.ids, ["*.txt"], limit_bytes=10) == {}


async def test_a_change_is_a_second_later_than_what_was_built_from_the_file(run: Run) -> None:
    """Python reuses bytecode by size and whole second: a fix of equal length within the second must not meet it."""
    path, times = run.path / "src/calc.py", []
    broken, base = path.read_text(), await run.snapshot("broken")
    await run.workspaces.write_files(*run.ids, {"src/calc.py": broken})
    for number in range(3):
        times.append(int(path.stat().st_mtime))
        await run.workspaces.write_files(*run.ids, {"src/calc.py": broken.replace("-", "+*"[number % 2])})
        times.append(int(path.stat().st_mtime))
        await run.restore(base)
        times.append(int(path.stat().st_mtime))
        await run.workspaces.apply_patch(*run.ids, PATCH.partition("diff --git a/new.txt")[0])
        assert await run.snapshot(f"{number}") != base
    assert times == sorted(set(times))
    await run.restore(base)
    assert await run.snapshot() == base
