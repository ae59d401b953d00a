"""Agents whose model is at the other end of a socket: both wire formats, with parallel, malformed and cut calls."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.store.catalogue import PostgresCatalogue
from domain.models.policy import ProviderKind, ProviderSettings
from tests.support.fake_anthropic import fake_anthropic, message, text, tool_use
from tests.support.fake_endpoint import Answer
from tests.workflows.agents.runs import FILES, RIGHT, VERIFY, WRONG, agent, call, loop, steps_of, turn
from tests.workflows.world import World

ROOT = Path(__file__).resolve().parents[3]
LONG = [
    turn(call("list_files"), call("read_file", path="calc.py"), text="I look."),
    turn({"name": "read_file", "raw": "calc.py, please"}),
    turn({"name": "write_file", "raw": '{"path": "calc.py", "text": "def add'}, finish="length"),
    *(turn(call("run_command", command=f"echo {n}")) for n in range(25)),
    turn(call("write_file", path="calc.py", text=WRONG)),
    turn(call("finish", summary="It multiplies now.")),
]
"""30 turns that end with the wrong thing."""
SHORT = [turn(call("write_file", path="calc.py", text=RIGHT)), turn(call("finish", summary="It adds now."))]


@contextmanager
def _served(folder: Path, *replies: dict[str, Any]) -> Iterator[str]:
    script = folder / "wire.yaml"
    script.write_text(json.dumps({"usage": {"tokens_in": 10, "tokens_out": 5}, "replies": replies}))
    command = [sys.executable, "-m", "adapters.providers.scripted_server", "--script", str(script)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["base_url"]
        finally:
            server.terminate()


async def _allow(world: World, kind: ProviderKind, base_url: str) -> None:
    catalogue = PostgresCatalogue(world.composition.database)
    policy = await catalogue.policy(world.org_id)
    wire = ProviderSettings(name="wire", kind=kind, base_url=base_url)
    await catalogue.save_policy(
        world.org_id, policy.model_copy(update={"providers": (*policy.providers, wire)}), actor="test"
    )


async def _mended(engine: World, model: str) -> dict[str, Any]:
    pipeline = await engine.publish(loop(agent(), VERIFY))
    return await engine.run(pipeline, repo=str(engine.repository(FILES)), settings={"model": model})


async def test_one_script_drives_thirty_turns_and_a_second_iteration(
    engine: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    first = {"role": "coder", "iteration": 1, "turns": LONG}
    second = {"role": "coder", "iteration": 2, "turns": SHORT}
    with _served(tmp_path, first, second) as base_url:
        await _allow(engine, ProviderKind.OPENAI_COMPATIBLE, base_url)
        run = await _mended(engine, "wire:any-name")
    assert (run["status"], run["outcome_kind"]) == ("SUCCEEDED", "verified"), run["error"]
    attempts = await engine.rows(
        "SELECT iteration, turns, tokens_in FROM attempt WHERE run_id = %s AND phase = 'implement' ORDER BY iteration",
        run["id"],
    )
    assert [(row["iteration"], row["turns"], row["tokens_in"]) for row in attempts] == [(1, 30, 300), (2, 2, 20)]
    steps = await steps_of(engine, run)
    assert {(s["model_asked"], s["model_answered"]) for s in steps if s["kind"] == "model_call"} == {
        ("wire:any-name", "any-name")
    }
    told = await engine.rows("SELECT body FROM agent_segment WHERE run_id = %s ORDER BY number", run["id"])
    said = "\n".join(row["body"] for row in told)
    assert "no valid JSON" in said and "cut off" in said


async def test_an_agent_speaks_anthropics_format(engine: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with fake_anthropic() as fake:
        fake.queue = [
            Answer.of(reply)
            for reply in (
                message(
                    text("I look."), tool_use("a1", "list_files", {}), tool_use("a2", "read_file", {"path": "calc.py"})
                ),
                message(tool_use("a3", "write_file", {"path": "calc.py"}), stop_reason="max_tokens"),
                message(tool_use("a4", "write_file", {"path": "calc.py", "text": RIGHT})),
                message(tool_use("a5", "finish", {"summary": "It adds now."})),
            )
        ]
        await _allow(engine, ProviderKind.ANTHROPIC, fake.base_url)
        run = await _mended(engine, "wire:claude-sonnet-4-6")
        assert (run["status"], run["outcome_kind"]) == ("SUCCEEDED", "verified"), run["error"]
        last = fake.sent[-1].body
    assert [entry["role"] for entry in last["messages"]] == ["user", "assistant"] * 3 + ["user"]
    results = [block for entry in last["messages"] for block in entry["content"] if block["type"] == "tool_result"]
    assert [(block["tool_use_id"], bool(block["is_error"])) for block in results] == [
        ("a1", False),
        ("a2", False),
        ("a3", True),
        ("a4", False),
    ]
    [row] = await engine.rows(
        "SELECT tokens_in, tokens_out, tokens_cached FROM attempt WHERE run_id = %s AND phase = 'implement'", run["id"]
    )
    assert (row["tokens_in"], row["tokens_out"], row["tokens_cached"]) == (400, 28, 80)
