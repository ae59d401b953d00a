"""What tests of external agents share: an engine whose PATH has the fakes, scripts in each agent's own tools."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from domain.pipelines.spec import AgentExecutor
from tests.support.fake_agents import install
from tests.workflows.agents.runs import FILES, VERIFY, loop, turn
from tests.workflows.world import ENOUGH_SECONDS, World

__all__ = ["FILES", "VERIFY", "loop"]

WRONG = "def add(a, b):\n    return a * b * 1\n"
RIGHT = "def add(a, b):\n    return sum((a, b))\n"
"""Each of another length: Python takes a file of the same second and length for the same."""
EXTERNAL = [executor for executor in AgentExecutor if executor is not AgentExecutor.BUILTIN]
WITH_TOOLS = [executor for executor in EXTERNAL if executor is not AgentExecutor.AIDER]
USAGE = {"tokens_in": 10, "tokens_out": 5}
PRICED = {
    "MILLWRIGHT_KEY": "not for agents",
    "OPENAI_API_KEY": "sk-the-real-one-0123456789abcdef",
    "ANTHROPIC_API_KEY": "sk-ant-the-real-one-0123456789",
}


def path_with_fakes(folder: Path) -> dict[str, str]:
    return {"PATH": f"{install(folder)}:/usr/bin:/bin", **PRICED}


def agent(executor: AgentExecutor, **more: Any) -> dict[str, Any]:
    return {
        "name": "implement",
        "kind": "agent",
        "executor": executor.value,
        "role": "coder",
        "prompt": "{{ task.change }}",
        **more,
    }


def write(executor: AgentExecutor, path: str, content: str) -> dict[str, Any]:
    """A reply of the model that makes the agent write a file."""
    if executor is AgentExecutor.AIDER:
        return turn(text=f"I write it.\n\n{path}\n```\n{content}```\n")
    if executor is AgentExecutor.CLAUDE_CODE:
        called = {"name": "Write", "arguments": {"file_path": path, "content": content}}
    else:
        name = "write_file" if executor is AgentExecutor.CODEX else "write"
        called = {"name": name, "arguments": {"path": path, "content": content}}
    return turn(called, text="I write it.")


def command(executor: AgentExecutor, text: str) -> dict[str, Any]:
    name = {AgentExecutor.CLAUDE_CODE: "Bash", AgentExecutor.CODEX: "shell", AgentExecutor.OPENCODE: "bash"}[executor]
    return turn({"name": name, "arguments": {"command": text}})


def say(text: str) -> dict[str, Any]:
    return turn(text=text)


def turns(*replies: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """For one conversation."""
    return {"role": "coder", "turns": list(replies), **more}


def turns_from(first: int, *replies: Mapping[str, Any], **more: Any) -> list[dict[str, Any]]:
    """In a conversation that goes on, turns are counted from its beginning."""
    return [{"role": "coder", "turn": turn, **reply, **more} for turn, reply in enumerate(replies, first)]


def mends(executor: AgentExecutor, text: str = RIGHT) -> list[dict[str, Any]]:
    """The turns of an agent that mends the fault; aider does it in one."""
    wrote = write(executor, "calc.py", text)
    return [wrote] if executor is AgentExecutor.AIDER else [wrote, say("add() adds now.")]


def model_of(world: World, *replies: Mapping[str, Any]) -> str:
    return world.script(*replies, usage=USAGE)


def rewrite(model: str, *replies: Mapping[str, Any]) -> None:
    """The model answers so from now on."""
    document = {"replies": list(replies), "usage": USAGE}
    Path(model.partition(":")[2]).write_text(yaml.safe_dump(document))


async def wait_for(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(ENOUGH_SECONDS):
        while not await condition():  # noqa: ASYNC110 - it is a question to PostgreSQL
            await asyncio.sleep(0.05)


async def starts_of(world: World, run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps that are starts of the agent's program."""
    return await world.rows(
        "SELECT * FROM step WHERE run_id = %s AND key LIKE 'agent#%%' ORDER BY started_at", run["id"]
    )


async def session_of(world: World, run: Mapping[str, Any]) -> dict[str, Any]:
    rows = await world.rows(
        "SELECT s.* FROM agent_session s JOIN attempt a ON a.id = s.attempt_id WHERE a.run_id = %s"
        " ORDER BY s.changed_at DESC",
        run["id"],
    )
    return rows[0]


def heard(world: World, run: dict[str, Any], executor: AgentExecutor) -> str:
    """The conversation as the agent has it on disk."""
    home = world.composition.workspaces.path(run["workspace_id"], run["id"]).with_name(f"{run['id']}.agent") / executor
    files = sorted(file for file in (home / "home").rglob("*") if file.is_file() and "stderr" not in file.name)
    return "\n".join(file.read_text() for file in files)
