"""External agents whose model is at the other end of a socket: agent, gateway, provider; passed on or translated."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.store.catalogue import PostgresCatalogue
from domain.models.policy import ProviderKind, ProviderSettings
from domain.pipelines.spec import AgentExecutor
from tests.support.fake_anthropic import fake_anthropic, message, streamed, text, tool_use
from tests.support.fake_endpoint import Answer
from tests.workflows.agents.runs import attempt_of, output_of, steps_of
from tests.workflows.agents_external.works import EXTERNAL, FILES, RIGHT, VERIFY, agent, loop, mends
from tests.workflows.world import World

ROOT = Path(__file__).resolve().parents[3]
KEY = "the-key-of-the-provider-0123456789"


@contextmanager
def _served(folder: Path, *turns: dict[str, Any]) -> Iterator[str]:
    script = folder / "wire.yaml"
    usage = {"tokens_in": 10_000, "tokens_out": 5_000}
    script.write_text(json.dumps({"usage": usage, "replies": [{"turns": turns}]}))
    words = [sys.executable, "-m", "adapters.providers.scripted_server", "--script", str(script)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["base_url"]
        finally:
            server.terminate()


async def _allow(world: World, kind: ProviderKind, base_url: str) -> None:
    catalogue = PostgresCatalogue(world.composition.database)
    policy = await catalogue.policy(world.org_id)
    key = world.folder / "key"
    key.write_text(KEY)
    wire = ProviderSettings(
        name="wire",
        kind=kind,
        base_url=base_url,
        credential=f"file:{key}",
        price_in_usd_per_million=Decimal(2),
        price_out_usd_per_million=Decimal(10),
    )
    others = (provider for provider in policy.providers if provider.name != wire.name)
    await catalogue.save_policy(world.org_id, policy.model_copy(update={"providers": (*others, wire)}), actor="test")


@pytest.mark.parametrize("executor", EXTERNAL)
async def test_steps_and_cost_are_what_went_over_the_wire(
    fakes: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: AgentExecutor
) -> None:
    """opencode and aider are passed on in their own format, Claude Code and Codex are translated."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    replies = mends(executor)
    with _served(tmp_path, *replies) as base_url:
        await _allow(fakes, ProviderKind.OPENAI_COMPATIBLE, base_url)
        pipeline = await fakes.publish(loop(agent(executor), VERIFY))
        entry = {"repo": str(fakes.repository(FILES)), "settings": {"model": "wire:some-model"}}
        run = await fakes.run(pipeline, **entry)
    assert (run["status"], run["outcome_kind"]) == ("SUCCEEDED", "verified"), run["error"]
    calls = [step for step in await steps_of(fakes, run) if step["kind"] == "model_call"]
    assert [(call["tokens_in"], call["tokens_out"], call["cost_usd"]) for call in calls] == [
        (10_000, 5_000, Decimal("0.07"))
    ] * len(replies)
    assert {(call["model_asked"], call["model_answered"]) for call in calls} == {("wire:some-model", "some-model")}
    attempt = await attempt_of(fakes, run)
    assert attempt["cost_usd"] == run["cost_usd"] == Decimal("0.07") * len(replies)
    assert KEY not in await output_of(fakes, run)


async def test_claude_code_in_its_own_format(fakes: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with fake_anthropic() as upstream:
        arguments = {"file_path": "calc.py", "content": RIGHT}
        upstream.queue = [
            Answer.of({"input_tokens": 42}),  # it counts before it asks
            streamed(message(text("I write it."), tool_use("toolu_1", "Write", arguments))),
            streamed(message(text("add() adds now."))),
        ]
        await _allow(fakes, ProviderKind.ANTHROPIC, upstream.base_url)
        pipeline = await fakes.publish(loop(agent(AgentExecutor.CLAUDE_CODE), VERIFY))
        entry = {"repo": str(fakes.repository(FILES)), "settings": {"model": "wire:claude-sonnet-4-6"}}
        run = await fakes.run(pipeline, task="Mend it [[fake:count]]", **entry)
    assert (run["status"], run["outcome_kind"]) == ("SUCCEEDED", "verified"), run["error"]
    calls = [step for step in await steps_of(fakes, run) if step["kind"] == "model_call" and step["tokens_in"]]
    assert [(call["tokens_in"], call["tokens_out"]) for call in calls] == [(100, 7)] * 2
    assert {call["model_answered"] for call in calls} == {"claude-answering-1"}


async def test_a_stream_that_breaks_has_an_unknown_cost(fakes: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider goes away in the middle of an answer: the phase is tried again, and pays again, visibly."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with fake_anthropic() as upstream:
        arguments = {"file_path": "calc.py", "content": RIGHT}
        upstream.queue = [
            streamed(message(text("I begin to write it.")), cut_after=400),
            streamed(message(text("I write it."), tool_use("toolu_1", "Write", arguments))),
            streamed(message(text("add() adds now."))),
        ]
        await _allow(fakes, ProviderKind.ANTHROPIC, upstream.base_url)
        pipeline = await fakes.publish(loop(agent(AgentExecutor.CLAUDE_CODE), VERIFY))
        entry = {"repo": str(fakes.repository(FILES)), "settings": {"model": "wire:claude-sonnet-4-6"}}
        run = await fakes.run(pipeline, **entry)
    assert run["outcome_kind"] == "verified", run["error"]
    calls = [step for step in await steps_of(fakes, run) if step["kind"] == "model_call"]
    assert [call["status"] for call in calls] == ["failed", "done", "done"]
    assert calls[0]["cost_usd"] is None
    assert run["cost_usd"] is None, "a part that is unknown makes the whole unknown"
    assert (await attempt_of(fakes, run))["executions"] == 2
