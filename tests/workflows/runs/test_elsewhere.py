"""A run that one worker begins and another ends, which shares nothing with it but record and artifact store."""

import asyncio
import shutil
import subprocess
from pathlib import Path

from cli.stack.temporal import TemporalServer
from tests.support.databases import Database
from tests.workflows.world import World, world

FILES = {"output": "files", "prompt": "go"}


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def _pipeline() -> dict[str, object]:
    """Its phase `wait` does not end where `build` ran: what git ignores stays on its worker."""
    return {
        "phases": [
            {"name": "implement", "kind": "model", **FILES},
            {
                "name": "build",
                "kind": "command",
                "command": "mkdir out && date +%N > out/built.txt && touch first.here",
            },
            {"name": "keep", "kind": "git", "action": "commit"},
            {"name": "wait", "kind": "command", "command": "echo made > made.txt; test ! -e first.here || sleep 60"},
            {"name": "verify", "kind": "command", "command": "cat a.txt out/built.txt made.txt", "verifies": True},
            {"name": "deliver", "kind": "git", "action": "deliver"},
        ]
    }


async def _begun(made: World) -> tuple[str, Path]:
    model = made.script({"text": '{"files": {"a.txt": "mended\\n", "deep/er/b.txt": "new\\n"}}'})
    repo = made.repository({"a.txt": "broken\n", "rest.txt": "rest\n", ".gitignore": "*.here\n"})
    handle = await made.start(await made.publish(_pipeline()), repo=str(repo), settings={"model": model})
    await made.until(handle, lambda row: row["current_phase"] == "wait")
    return handle.id, repo


async def test_on_a_worker_with_another_state_folder(
    database: Database, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    artifacts = (tmp_path / "shared").as_uri()
    async with world(database, temporal_server.address, tmp_path, MILLWRIGHT_ARTIFACT_URL=artifacts) as first:
        handle_id, repo = await _begun(first)
    shutil.rmtree(tmp_path / "state")
    (second := tmp_path / "second").mkdir()
    async with world(database, temporal_server.address, second, MILLWRIGHT_ARTIFACT_URL=artifacts) as last:
        run = await last.end_of(last.client.get_workflow_handle(handle_id))
        assert run["outcome_kind"] == "verified", run["error"]
        commits = _git(repo, "log", "--format=%H %s", f"HEAD..{run['delivered_branch']}").splitlines()
        recorded = await last.rows("SELECT commit_facts->>'sha' AS sha FROM attempt WHERE commit_facts IS NOT NULL")
        assert {line.split()[0] for line in commits} == {row["sha"] for row in recorded}
        assert len(commits) == 2, "the first worker's commit went along"
        files = _git(repo, "ls-tree", "-r", "--name-only", run["delivered_branch"]).splitlines()
        assert files == [".gitignore", "a.txt", "deep/er/b.txt", "made.txt", "out/built.txt", "rest.txt"]
        tree = await last.row("SELECT tree_after FROM attempt WHERE phase = 'deliver'")
        assert tree is not None
        assert _git(repo, "rev-parse", f"{run['delivered_branch']}^{{tree}}") == tree["tree_after"]


async def test_where_even_the_users_repository_is_not_there(
    database: Database, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """The run's work is whole; only its delivery to that repository cannot be, and says how to get it."""
    artifacts = (tmp_path / "shared").as_uri()
    async with world(database, temporal_server.address, tmp_path, MILLWRIGHT_ARTIFACT_URL=artifacts) as first:
        handle_id, repo = await _begun(first)
    repo = repo.rename(tmp_path / "on another machine")
    (second := tmp_path / "second").mkdir()
    async with world(database, temporal_server.address, second, MILLWRIGHT_ARTIFACT_URL=artifacts) as last:
        run = await last.end_of(last.client.get_workflow_handle(handle_id))
        verify = await last.row("SELECT status, summary FROM attempt WHERE phase = 'verify'")
        assert verify is not None and verify["status"] == "passed", verify
        assert verify["summary"].startswith("mended\n")
        assert run["outcome_kind"] == "phase_error"
        assert "is not there any more" in run["error"]["message"]
        assert "branch.bundle" in run["error"]["hint"]
        kept = await last.rows(
            "SELECT phase FROM artifact a JOIN attempt t ON t.id = attempt_id WHERE name = 'branch.bundle'"
        )
        assert "deliver" in [row["phase"] for row in kept], "what could not be delivered is kept"
        push = await last.row("SELECT status, error->>'kind' AS kind FROM step WHERE kind = 'effect'")
        assert push == {"status": "failed", "kind": "workspace"}


async def test_delivered_as_a_bundle(engine: World) -> None:
    model = engine.script({"text": '{"files": {"a.txt": "mended\\n"}}'})
    repo = engine.repository({"a.txt": "broken\n"})
    phases = [
        {"name": "implement", "kind": "model", **FILES},
        {"name": "deliver", "kind": "git", "action": "deliver", "remote": "bundle"},
    ]
    run = await engine.run(await engine.publish({"phases": phases}), repo=str(repo), settings={"model": model})
    assert run["outcome_kind"] == "completed", run["error"]
    assert _git(repo, "branch", "--list", "*/*") == "", "nothing was pushed"
    kept = await engine.row("SELECT sha256 FROM artifact WHERE name = 'branch.bundle'")
    told = await engine.row("SELECT summary FROM attempt WHERE phase = 'deliver'")
    assert kept is not None and told is not None
    assert "git fetch branch.bundle" in told["summary"]
    sha256 = kept["sha256"]
    body = engine.folder / "state" / "artifacts" / str(engine.org_id) / sha256[:2] / sha256
    _git(repo, "fetch", "-q", str(body), f"{run['delivered_branch']}:taken")
    assert _git(repo, "show", "taken:a.txt") == "mended"


async def test_phases_that_change_no_tree_store_nothing(engine: World) -> None:
    repo = engine.repository({"a.txt": "a\n"})
    phases = [
        {"name": "look", "kind": "command", "command": "true"},
        {"name": "verify", "kind": "command", "command": "true", "verifies": True},
        {"name": "deliver", "kind": "git", "action": "deliver"},
    ]
    run = await engine.run(await engine.publish({"phases": phases}), repo=str(repo))
    assert run["outcome_kind"] == "verified", run["error"]
    assert await engine.rows("SELECT 1 FROM artifact") == []
    assert await engine.rows("SELECT 1 FROM base_pack") == []


async def test_a_base_that_moved_is_something_to_know_of_the_run(engine: World) -> None:
    repo = engine.repository({"a.txt": "broken\n"})
    moves = f"cd '{repo}' && echo theirs > a.txt && git -c user.name=t -c user.email=t@example.org commit -qam moved"
    model = engine.script({"text": '{"files": {"a.txt": "mended\\n"}}'})
    wait = {"name": "wait", "kind": "command", "command": "sleep 1"}
    phases = [wait, {"name": "implement", "kind": "model", **FILES}, {"name": "d", "kind": "git", "action": "deliver"}]
    handle = await engine.start(await engine.publish({"phases": phases}), repo=str(repo), settings={"model": model})
    await engine.until(handle, lambda row: row["current_phase"] == "wait")
    await asyncio.create_subprocess_shell(moves)
    run = await engine.end_of(handle)
    assert run["outcome_kind"] == "completed", run["error"]
    warned = await engine.rows("SELECT data->>'message' AS message FROM run_event WHERE type = 'run.warning'")
    (told,) = [row["message"] for row in warned if "run's base" in row["message"]]
    assert "1 commit past the run's base; a merge has conflicts in a.txt" in told
