"""The environment's models of stages reach the calls of a run; each step says which was asked and which answered."""

from pathlib import Path

from cli.stack.temporal import TemporalServer
from tests.support.databases import Database
from tests.workflows.world import world

PIPELINE = {
    "needs_workspace": False,
    "phases": [
        {"name": "read", "kind": "model", "role": "planner", "stage": "context", "prompt": "Read"},
        {"name": "work", "kind": "model", "stage": "execution", "prompt": "Work"},
        {"name": "own", "kind": "model", "stage": "context", "prompt": "Work", "model": "scripted:demo"},
    ],
}


async def test_each_stage_asks_its_model_and_the_step_says_which_answered(
    database: Database, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    for name in ("small", "big"):
        (tmp_path / f"{name}.yaml").write_text(f"model_answered: {name}-2026\nreplies: [{{text: {name}}}]\n")
    small, big = (f"scripted:{tmp_path}/{name}.yaml" for name in ("small", "big"))
    async with world(database, temporal_server.address, tmp_path, CONTEXT_MODEL=small, EXECUTION_MODEL=big) as engine:
        run = await engine.run(await engine.publish(PIPELINE))
        assert run["outcome_kind"] == "completed"
        steps = await engine.rows("SELECT model_asked, model_answered FROM step ORDER BY started_at")
    assert [(step["model_asked"], step["model_answered"]) for step in steps] == [
        (small, "small-2026"),
        (big, "big-2026"),
        ("scripted:demo", "demo"),
    ]
