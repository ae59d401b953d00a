"""The tree that a verification sees: protected files as at base, nothing hidden by the run's own ignore rules."""

import marshal
import os
import subprocess
import sys
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

import pytest

from domain.errors import PhaseFailure
from domain.runs.failure import ErrorKind
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


async def test_a_folder_of_tests_that_became_a_link_is_a_folder_again(run: Run, tmp_path: Path) -> None:
    (fake := tmp_path / "fake").mkdir()
    (fake / "test_calc.py").write_text("pass  # always green\n")
    (run.path / "tests" / "test_calc.py").unlink()
    (run.path / "tests").rmdir()
    (run.path / "tests").symlink_to(fake)
    tree = await run.snapshot()
    assert await verify(run, tree) == ("tests/test_calc.py",)
    assert not (run.path / "tests").is_symlink()
    assert (run.path / "tests" / "test_calc.py").read_text() == "assert True\n"
    assert (fake / "test_calc.py").read_text().startswith("pass"), "nothing was written through the link"


async def test_a_protected_file_that_became_a_link_is_a_file_again(run: Run, tmp_path: Path) -> None:
    (tmp_path / "fake.py").write_text("pass\n")
    (run.path / "tests" / "test_calc.py").unlink()
    (run.path / "tests" / "test_calc.py").symlink_to(tmp_path / "fake.py")
    assert await verify(run, await run.snapshot()) == ("tests/test_calc.py",)
    assert not (run.path / "tests" / "test_calc.py").is_symlink()
    assert (tmp_path / "fake.py").read_text() == "pass\n"


async def test_a_renamed_protected_file_is_back_under_its_name(run: Run) -> None:
    (run.path / "tests" / "test_calc.py").rename(run.path / "tests" / "off_calc.py")
    assert await verify(run, await run.snapshot()) == ("tests/test_calc.py",)
    assert (run.path / "tests" / "test_calc.py").exists()


async def test_a_mode_is_put_back(run: Run) -> None:
    (run.path / "tests" / "test_calc.py").chmod(0o755)
    assert await verify(run, await run.snapshot()) == ("tests/test_calc.py",)
    assert not (run.path / "tests" / "test_calc.py").stat().st_mode & 0o111


@pytest.mark.parametrize(
    "name", ["conftest.py", "tests/conftest.py", "pytest.ini", "sitecustomize.py", "jest.config.js"]
)
async def test_a_new_file_that_steers_the_tests_from_beside_is_named(run: Run, name: str) -> None:
    """It may be honest, so it stays; but the outcome is `completed` with its name, never `verified`."""
    (run.path / name).write_text("# makes every test pass\n")
    (run.path / "tests" / "test_more.py").write_text("new tests are fine\n")
    assert await verify(run, await run.snapshot()) == (name,)
    assert (run.path / name).exists()


@pytest.mark.parametrize(
    "attributes",
    ["test_*.py working-tree-encoding=UTF-16", "* eol=crlf", "*.py text eol=crlf", "* ident", "[attr]x eol=crlf\n* x"],
)
async def test_attributes_of_the_run_give_a_protected_file_no_other_bytes(run: Run, attributes: str) -> None:
    content = b"# $Id$\nassert True\n"
    run.repo.commit({"tests/test_calc.py": content})
    run = await Run(run.workspaces, run.repo, run.workspace_id).prepare()
    (run.path / ".gitattributes").write_text(f"{attributes}\n")
    (run.path / "tests" / ".gitattributes").write_text(f"{attributes}\n")
    (run.path / "tests" / "test_calc.py").write_text("pass\n", "utf-16" if "UTF-16" in attributes else "utf-8")
    tree = await run.snapshot()
    assert await verify(run, tree) == ("tests/test_calc.py",)
    assert (run.path / "tests" / "test_calc.py").read_bytes() == content


async def test_an_encoding_that_files_do_not_have_goes_back_to_the_model(run: Run) -> None:
    (run.path / ".gitattributes").write_text("* working-tree-encoding=UTF-16\n")
    with pytest.raises(PhaseFailure) as failure:
        await run.snapshot()
    assert failure.value.error.kind is ErrorKind.INVALID_OUTPUT
    assert ".gitattributes" in failure.value.error.excerpt or "BOM" in failure.value.error.excerpt
    await run.restore(run.base_tree)
    assert await run.snapshot() == run.base_tree


async def test_attributes_planted_in_the_clone_change_nothing(run: Run) -> None:
    (run.clone / "info").mkdir(exist_ok=True)
    (run.clone / "info" / "attributes").write_text("* eol=crlf\n")
    (run.clone / "info" / "exclude").write_text("hidden.txt\n")
    (run.path / "hidden.txt").write_text("1\n")
    (run.path / "src" / "calc.py").write_text("fixed\n")
    tree = await run.snapshot()
    assert "hidden.txt" in run.files(tree)
    await run.restore(run.base_tree)
    await run.restore(tree)
    assert (run.path / "src" / "calc.py").read_bytes() == b"fixed\n"


@pytest.mark.parametrize("ignored", [True, False])
async def test_planted_bytecode_does_not_stand_for_a_protected_test(run: Run, ignored: bool) -> None:
    """Bytecode that says `never compare me with my source` (PEP 552) would be run in place of the test."""
    if not ignored:
        run.repo.commit({".gitignore": "build/\n"})
        run = await Run(run.workspaces, run.repo, run.workspace_id).prepare()
    source = run.path / "tests" / "test_calc.py"
    planted = Path(cache_from_source(str(source)))
    planted.parent.mkdir()
    code = compile("print('always green')", str(source), "exec")
    planted.write_bytes(MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(code))
    asked = [sys.executable, "-S", "-c", "import sys; sys.path.insert(0, 'tests'); import test_calc"]

    def said() -> str:
        return subprocess.run(asked, cwd=run.path, env={"PATH": os.defpath}, capture_output=True, text=True).stdout

    assert said() == "always green\n", "the attack works where nothing is done against it"
    (run.path / "src" / "calc.py").write_text("fixed\n")
    assert await verify(run, await run.snapshot()) == ()
    assert said() == ""


async def test_bytecode_of_what_set_up_installed_stays(run: Run) -> None:
    cache = run.path / "build" / "venv" / "__pycache__"
    cache.mkdir(parents=True)
    (cache / "x.pyc").write_bytes(b"x")
    (run.path / "src" / "calc.py").write_text("fixed\n")
    await verify(run, await run.snapshot())
    assert (cache / "x.pyc").exists()
