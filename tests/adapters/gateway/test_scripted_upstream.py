"""A scripted model behind a real socket as the gateway's provider: an agent's conversation, streamed, turn by turn."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
import yaml

from adapters.gateway.translated import turn_of
from tests.support.databases import Database
from tests.support.gateways import openai_at, served
from tests.support.sdk_clients import CHAT_TOOLS, openai_client

LS = {"name": "bash", "id": "t1", "arguments": {"command": "ls"}}
SCRIPT = {
    "usage": {"tokens_in": 50, "tokens_out": 5},
    "replies": [
        {"role": "coder", "iteration": 2, "turns": [{"text": "look", "tool_calls": [LS]}, {"text": "done"}]},
        {"role": "coder", "text": "another iteration"},
    ],
}


@asynccontextmanager
async def scripted_server(folder: Path) -> AsyncIterator[str]:
    (folder / "demo.yaml").write_text(yaml.safe_dump(SCRIPT))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "adapters.providers.scripted_server", "--script", str(folder / "demo.yaml"), stdout=PIPE
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        yield str(json.loads(line)["base_url"]).removesuffix("/v1")
    finally:
        process.terminate()
        await process.wait()


async def test_a_streaming_agent_is_answered_by_role_iteration_and_turn(
    module_database: Database, tmp_path: Path
) -> None:
    said: list[Any] = [{"role": "user", "content": "mend it"}]
    async with (
        scripted_server(tmp_path) as url,
        served(module_database, openai_at(url), scripts=tmp_path) as serving,
        serving.access("openai:demo", iteration=2) as access,
        openai_client(access) as client,
    ):

        async def ask() -> Any:
            asked: Any = client.chat.completions.stream(model="demo", messages=said, tools=CHAT_TOOLS)
            async with asked as opened:
                return (await opened.get_final_completion()).choices[0].message

        first = await ask()
        assert first.content == "look" and first.tool_calls[0].function.name == "bash"
        said += [first.model_dump(include={"role", "content", "tool_calls"})]
        said += [{"role": "tool", "tool_call_id": "t1", "content": "README"}]
        assert (await ask()).content == "done"
    assert serving.steps("status", "tokens_in", "tokens_out") == [("done", 50, 5)] * 2


CALL = {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": ""}
SAID = {"role": "assistant", "content": "x"}
ASKED = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("body", "turn"),
    [
        ({}, 1),
        ({"input": "hello"}, 1),
        ({"messages": [ASKED]}, 1),
        ({"messages": [{"role": "system", "content": "x"}, ASKED, SAID, ASKED, SAID, {"role": "tool"}]}, 3),
        ({"input": [ASKED, {"type": "reasoning"}, SAID, CALL, CALL, OUTPUT, OUTPUT]}, 2),
        ({"input": [ASKED, SAID, {"type": "reasoning"}, CALL, OUTPUT, {"type": "message", **SAID}]}, 3),
    ],
)
def test_the_turn_stands_in_the_conversation(body: dict[str, object], turn: int) -> None:
    assert turn_of(body) == turn
