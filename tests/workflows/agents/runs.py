"""What tests of agent phases share: a repository with a fault, pipelines of one agent, scripts of its turns."""

from collections.abc import Mapping
from typing import Any

from tests.workflows.world import World

FILES = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "test_calc.py": "from calc import add\nassert add(2, 3) == 5\nprint('passed')\n",
    ".gitignore": "__pycache__/\n",
}
RIGHT = "def add(a, b):\n    return a + b\n"
WRONG = "def add(a, b):\n    return a * b\n"
VERIFY = {"name": "verify", "kind": "command", "command": "python3 test_calc.py", "verifies": True}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def turn(*calls: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {**({"tool_calls": list(calls)} if calls else {}), **more}


def agent(**more: Any) -> dict[str, Any]:
    return {"name": "implement", "kind": "agent", "role": "coder", "prompt": "{{ task.change }}", **more}


def loop(*phases: Mapping[str, Any], iterations: int = 3) -> dict[str, Any]:
    return {"phases": [{"loop": {"max_iterations": iterations, "phases": list(phases)}}]}


def scripted(world: World, *turns: Mapping[str, Any], **more: Any) -> str:
    return world.script({"role": "coder", "turns": list(turns), **more}, usage={"tokens_in": 10, "tokens_out": 5})


async def steps_of(world: World, run: Mapping[str, Any]) -> list[dict[str, Any]]:
    return await world.rows("SELECT * FROM step WHERE run_id = %s ORDER BY started_at", run["id"])


async def attempt_of(world: World, run: Mapping[str, Any], phase: str = "implement") -> dict[str, Any]:
    rows = await world.rows(
        "SELECT * FROM attempt WHERE run_id = %s AND phase = %s ORDER BY iteration DESC", run["id"], phase
    )
    return rows[0]


async def output_of(world: World, run: Mapping[str, Any]) -> str:
    """All live output of the run."""
    rows = await world.rows(
        "SELECT text FROM output_chunk WHERE run_id = %s ORDER BY execution_ordinal, seq", run["id"]
    )
    return "".join(row["text"] for row in rows)
