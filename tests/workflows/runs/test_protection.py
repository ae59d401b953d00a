"""A run says what its commands are not protected from, where a person looks: its page, its view, its events."""

from adapters.store.views import PostgresViews
from tests.workflows.world import World

TWICE = {
    "phases": [
        {"name": "first", "kind": "command", "command": "true"},
        {"name": "second", "kind": "command", "command": "true"},
    ]
}


async def test_a_run_says_once_what_its_commands_share(engine: World) -> None:
    repo = str(engine.repository({"a.txt": "a"}))
    run = await engine.run(await engine.publish(TWICE), repo=repo)
    view = await PostgresViews(engine.composition.database).run(engine.org_id, run["id"])
    assert view is not None
    [warning] = view.warnings
    assert warning.startswith("Not protected: ")
    assert "share this machine's network" in warning and "the local Temporal's" in warning
    events = await engine.rows("SELECT seq FROM run_event WHERE run_id = %s ORDER BY seq", run["id"])
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


async def test_a_run_without_commands_has_nothing_to_say(engine: World) -> None:
    model = engine.script({"text": "done"})
    phases = {"needs_workspace": False, "phases": [{"name": "ask", "kind": "model", "role": "planner", "prompt": "go"}]}
    run = await engine.run(await engine.publish(phases), settings={"model": model})
    assert await engine.rows("SELECT 1 FROM run_event WHERE run_id = %s AND type = 'run.warning'", run["id"]) == []
