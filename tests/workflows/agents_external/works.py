"""What tests of external agents share: an engine whose PATH has the fakes, scripts in each agent's own tools."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from domain.pipelines.spec import AgentExecutor
from tests.support.fake_agents import install
from tests.workflows.agents.runs import FILES, RIGHT, VERIFY, WRONG, loop, turn
from tests.workflows.world import World

__all__ = ["FILES", "RIGHT", "VERIFY", "WRONG", "loop"]

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


def turns(world: World, *replies: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """For one iteration."""
    return {"role": "coder", "turns": list(replies), **more}


def mends(executor: AgentExecutor, text: str = RIGHT) -> list[dict[str, Any]]:
    """The turns of an agent that mends the fault; aider does it in one."""
    wrote = write(executor, "calc.py", text)
    return [wrote] if executor is AgentExecutor.AIDER else [wrote, say("add() adds now.")]


def model_of(world: World, *replies: Mapping[str, Any]) -> str:
    return world.script(*replies, usage=USAGE)


async def session_of(world: World, run: Mapping[str, Any]) -> dict[str, Any]:
    rows = await world.rows(
        "SELECT s.* FROM agent_session s JOIN attempt a ON a.id = s.attempt_id WHERE a.run_id = %s"
        " ORDER BY s.changed_at DESC",
        run["id"],
    )
    return rows[0]
