"""The tree that a verification sees: protected files as at base, nothing hidden by the run's own ignore rules."""

from tests.adapters.workspace.conftest import Run

PROTECTED = ("tests/**", "conftest.py", "*.cfg")


async def verify(run: Run, tree: str) -> tuple[str, ...]:
    return await run.workspaces.restore_for_verification(*run.ids, tree, run.base_tree, PROTECTED)


async def test_changed_deleted_and_replaced_protected_files_come_back(run: Run) -> None:
    run.repo.commit({"tests/gone.py": "1\n", "conftest.py": "2\n"})
    later = await Run(run.workspaces, run.repo, workspace_id=run.workspace_id).prepare()
    (later.path / "tests/test_calc.py").write_text("pass  # always green\n")
    (later.path / "tests/gone.py").unlink()
    (later.path / "conftest.py").unlink()
    (later.path / "conftest.py").mkdir()
    (later.path / "conftest.py/x").write_text("a folder now\n")
    (later.path / "tests/test_new.py").write_text("new tests are fine\n")
    (later.path / "src/calc.py").write_text("fixed\n")
    tree = await later.snapshot()
    assert await verify(later, tree) == ("conftest.py", "tests/gone.py", "tests/test_calc.py")
    assert (later.path / "tests/test_calc.py").read_text() == "assert True\n"
    assert (later.path / "tests/gone.py").read_text() == "1\n"
    assert (later.path / "conftest.py").read_text() == "2\n"
    assert (later.path / "tests/test_new.py").exists()
    assert (later.path / "src/calc.py").read_text() == "fixed\n"
    await later.restore(tree)
    assert await later.snapshot() == tree


async def test_nothing_protected_changed(run: Run) -> None:
    (run.path / "src/calc.py").write_text("fixed\n")
    tree = await run.snapshot()
    assert await verify(run, tree) == ()
    assert await run.snapshot() == tree


async def test_a_file_that_the_runs_own_ignore_rules_hide_is_gone(run: Run) -> None:
    (run.path / "build").mkdir()
    (run.path / "build/setup-output").write_text("ignored at base: kept")
    (run.path / ".gitignore").write_text("*.pyc\nbuild/\nconftest.py\n")
    (run.path / "conftest.py").write_text("makes every test pass\n")
    tree = await run.snapshot()
    assert await verify(run, tree) == ()
    assert not (run.path / "conftest.py").exists()
    assert (run.path / "build/setup-output").exists()
