"""A secret that lies across the place where a shown text is cut is hidden whole."""

from tests.workflows.world import World

SECRET = "ghp_" + "a1B2c3D4e5F6" * 3
TITLE_LIMIT, MESSAGE_LIMIT = 200, 119


def crossing(start: str, limit: int) -> str:
    """`start`, then the secret so that its second half lies beyond the limit."""
    return f"{start} {'.' * (limit - len(start) - 22)} {SECRET}"


async def test_of_a_command_and_of_the_set_up(engine: World) -> None:
    command = crossing(crossing(":", MESSAGE_LIMIT), TITLE_LIMIT) + "; exit 3"
    repo = engine.repository({"a.txt": "a"})
    pipeline = await engine.publish({"phases": [{"name": "verify", "kind": "command", "command": command}]})
    run = await engine.run(pipeline, repo=str(repo))
    assert run["status"] == "FAILED"
    set_up = crossing(":", TITLE_LIMIT - len("set-up: "))
    await engine.rows("UPDATE workspace SET setup_command = %s RETURNING 1", set_up)
    await engine.run(pipeline, repo=str(repo))

    titles = [row["title"] for row in await engine.rows("SELECT title FROM step ORDER BY started_at")]
    errors = [row["error"]["message"] for row in await engine.rows("SELECT error FROM attempt")]
    assert [title.split(" ")[0] for title in titles] == [":", "set-up:", ":"]
    for shown in [*titles, *errors]:
        assert "[redac" in shown
        assert SECRET[:8] not in shown
