"""Bytes that are no text, and text that is no ordinary text, through every tool: answered, never the phase's end."""

import json
from typing import Any

from tests.workflows.agents.runs import agent, call, scripted, steps_of, turn
from tests.workflows.world import World

FINISH = turn(call("finish", summary="done"))
TO_PNG = "printf '\\211PNG\\000\\001' > picture.png; printf 'caf\\351 shop\\n' > latin.txt; cat picture.png"


async def _told(world: World, run: dict[str, Any]) -> str:
    rows = await world.rows("SELECT body FROM agent_segment WHERE run_id = %s ORDER BY number", run["id"])
    return "\n".join(row["body"] for row in rows)


async def _run(world: World, *turns: dict[str, Any]) -> tuple[dict[str, Any], str]:
    repo = world.repository({"readme.md": "shop\n"})
    pipeline = await world.publish({"phases": [agent(max_turns=30)]})
    run = await world.run(pipeline, repo=str(repo), settings={"model": scripted(world, *turns, FINISH)})
    return run, await _told(world, run)


async def test_binary_files_are_named_listed_searched_and_not_shown(engine: World) -> None:
    run, said = await _run(
        engine,
        turn(call("run_command", command=TO_PNG)),
        turn(call("read_file", path="picture.png"), call("read_file", path="latin.txt"), call("list_files")),
        turn(call("search", pattern="shop"), call("search", pattern="PNG")),
    )
    assert run["status"] == "SUCCEEDED", run["error"]
    assert "picture.png is a binary file of 6 bytes" in said
    assert "latin.txt" in said
    steps = await steps_of(engine, run)
    assert not any("\\x00" in (step["tail"] or "") for step in steps)


ODD: list[tuple[dict[str, Any], str]] = [
    (call("write_file", path="a\x00b.txt", text="x"), "no file name"),
    (call("read_file", path="a\x00b.txt"), "no file name"),
    (call("list_files", pattern="a\x00b"), "no file matches"),
    (call("search", pattern="a\x00b"), "one line"),
    (call("search", pattern="a\nb"), "one line"),
    (call("search", pattern="["), "Invalid regular expression"),
    (call("search", pattern="x", glob="../*"), "outside repository"),
    (call("run_command", command="echo a\x00b"), "NUL character"),
    (call("run_command", command="echo " + "é" * 99_000), "more than 100,000 bytes"),
    (call("run_command", command="printf '\\377\\376\\000'"), "exit code 0"),
    ({"name": "write_file", "raw": '{"path": "half.txt", "text": "\\ud800"}'}, "no valid Unicode"),
    ({"name": "write_file", "raw": '{"path": "\\ud800.txt", "text": "x"}'}, "no valid Unicode"),
    ({"name": "read_file", "raw": '{"path": "\\ud800.txt"}'}, "no valid Unicode"),
    ({"name": "run_command", "raw": '{"command": "echo \\ud800"}'}, "unicode string"),
    ({"name": "search", "raw": '{"pattern": "\\ud800"}'}, "unicode string"),
    ({"name": "apply_patch", "raw": '{"patch": "\\ud800"}'}, "unicode string"),
    ({"name": "finish_\ud83d", "raw": "{}"}, "There is no tool"),
    ({"name": "read_file", "raw": '{"path": ' + "[" * 5_000 + "]" * 5_000 + "}"}, "nested too deeply"),
    ({"name": "read_file", "raw": '{"path": "readme.md", "offset": 1e400}'}, "finite number"),
    ({"name": "read_file", "raw": '{"path": "readme.md", "offset": ' + "9" * 5_000 + "}"}, "4300 digits"),
    ({"name": "read_file", "raw": '{"path": "readme.md", "offset": NaN}'}, "finite number"),
    (call("read_file", path="x" * 5_000), "cannot be read"),
    (call("read_file", path=""), "no file name"),
    (call("read_file", path="."), "no file name"),
    (call("write_file", path=".", text="x"), "has the part '.'"),
    (call("write_file", path="readme.md/below", text="x"), "is a file, not a folder"),
    (call("write_file", path="a/../../x", text="x"), "has the part '..'"),
    (call("write_file", path="C:\\\\x", text="x"), "has 1 lines now"),
    (call("apply_patch", patch="\x00"), "does not apply"),
    (call("apply_patch", patch="GIT binary patch\nliteral 3\nKcmZ>\n"), "does not apply"),
]
"""A call, and a part of what is said to it."""


async def test_odd_arguments_are_answered_each(engine: World) -> None:
    run, _ = await _run(engine, turn(*(odd for odd, _ in ODD)))
    assert run["status"] == "SUCCEEDED", run["error"]
    rows = await engine.rows("SELECT body FROM agent_segment WHERE run_id = %s AND turn = 1", run["id"])
    answered = [result for row in rows for result in json.loads(row["body"])["results"]]
    assert [result["text"] for result, (_, said) in zip(answered, ODD, strict=True) if said not in result["text"]] == []


async def test_a_binary_patch_is_applied_whole(engine: World) -> None:
    run, said = await _run(
        engine,
        turn(
            call(
                "run_command",
                command="printf '\\000\\001\\002' > b.bin && git add b.bin && git diff --cached --binary > p",
            )
        ),
        turn(call("run_command", command="rm b.bin; cat p")),
    )
    assert run["status"] == "SUCCEEDED", run["error"]
    assert "GIT binary patch" in said
