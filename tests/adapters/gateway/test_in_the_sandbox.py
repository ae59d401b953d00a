"""A command of an agent phase, under the real sandbox and without the machine's network, reaches the gateway."""

import json
import os
import sys
from pathlib import Path

import pytest

from adapters.gateway.server import FORWARDER
from adapters.sandbox.guarded import GuardedSandbox
from adapters.secrets.redactor import SecretRedactor
from domain.gateway.ports import GatewayAccess
from domain.sandbox.ports import Command, NetworkAccess
from tests.adapters.gateway.test_forwarder import ASK
from tests.adapters.gateway.test_passed_on import COMPLETION, DONE, LAST_USAGE, chunk
from tests.support.gateways import Served
from tests.support.raw_upstream import Pieces, RawUpstream

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def sandbox() -> GuardedSandbox:
    return GuardedSandbox(SecretRedactor(), search_path=os.environ["PATH"], hidden=(ROOT / "tests",))


def asking(access: GatewayAccess, cwd: Path, mode: str, **more: object) -> Command:
    command = Command(
        argv=(sys.executable, "-c", ASK, access.base_url_openai, mode),
        cwd=cwd,
        env={"TOKEN": access.token},
        time_limit_seconds=60,
        stall_seconds=60,
    )
    return command.model_copy(update=more)


async def run(sandbox: GuardedSandbox, command: Command) -> tuple[int | None, str]:
    async def heard(_: str) -> None:
        return

    result = await sandbox.run(command, on_output=heard, should_stop=lambda: None)
    return result.exit_code, result.output


@pytest.mark.parametrize("mode", ["whole", "stream"])
async def test_an_agent_without_a_network_calls_models_and_nothing_else(
    serving: Served, upstream: RawUpstream, sandbox: GuardedSandbox, tmp_path: Path, mode: str
) -> None:
    told = chunk({"content": "hello"}) + chunk({}, "stop") + LAST_USAGE + DONE
    upstream.answer = lambda got: Pieces.dripped(told) if got.body["stream"] else Pieces.json(COMPLETION)
    async with serving.access("openai:gpt-5") as access:
        plain = asking(access, tmp_path, mode)
        apart = {"network": NetworkAccess.NONE, "readable": (FORWARDER,)}
        if not sandbox.protection(plain.model_copy(update=apart)).own_network:
            pytest.skip("no network namespaces on this machine")
        alone, _ = await run(sandbox, plain.model_copy(update=apart))
        assert alone != 0 and upstream.received == [], "the machine's network is not there"
        through = {"argv": (*access.forwarder, *plain.argv), "sockets": (access.socket,)}
        code, output = await run(sandbox, plain.model_copy(update=apart | through))
    assert code == 0, output
    assert output.endswith("[DONE]\n\n") if mode == "stream" else json.loads(output) == COMPLETION
    assert serving.steps("status") == [("done",)]
