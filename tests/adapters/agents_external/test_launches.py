"""How each agent is started: against the gateway alone, with the prompt and the token out of sight of others."""

import json
from pathlib import Path

import pytest

from adapters.agents.registry import EXTERNAL_AGENTS
from domain.agents.external import AgentLaunch, AgentTask
from domain.pipelines.spec import AgentExecutor

TOKEN = "gw-3f2c81a3"
PROMPT = "Mend the sum.\n" * 20_000
"""Longer than one argument of a program may be."""
KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY", "AZURE_OPENAI_API_KEY", "CODEX_API_KEY")
EXTERNAL = sorted(EXTERNAL_AGENTS)


def launch(executor: AgentExecutor, session_id: str | None = None, model: str = "gpt-5-mini") -> AgentLaunch:
    return EXTERNAL_AGENTS[executor].launch(
        AgentTask(
            prompt=PROMPT,
            session_id=session_id,
            model=model,
            openai_url="http://127.0.0.1:4010/v1",
            anthropic_url="http://127.0.0.1:4010",
            token=TOKEN,
            home=Path("/state/home"),
            given=Path("/state/given"),
        )
    )


@pytest.mark.parametrize("executor", EXTERNAL)
def test_token_and_prompt_are_on_no_command_line(executor: AgentExecutor) -> None:
    started = launch(executor)
    assert TOKEN not in " ".join(started.argv)
    assert "Mend the sum" not in " ".join(started.argv)
    assert TOKEN not in str(started.files)
    assert PROMPT in (started.stdin, *started.files.values())
    assert TOKEN in started.env.values()


@pytest.mark.parametrize("executor", EXTERNAL)
def test_no_key_but_the_gateways_token(executor: AgentExecutor) -> None:
    env = launch(executor).env
    assert {env[name] for name in KEYS if name in env} <= {TOKEN}


@pytest.mark.parametrize("executor", EXTERNAL)
def test_only_the_gateway_is_spoken_to(executor: AgentExecutor) -> None:
    started = launch(executor)
    everything = " ".join([*started.argv, *started.env.values()])
    assert "http://127.0.0.1:4010" in everything
    assert "https://" not in everything


@pytest.mark.parametrize(
    ("executor", "words"),
    [
        (AgentExecutor.CLAUDE_CODE, ["--resume=s-1"]),
        (AgentExecutor.CODEX, ["resume", "s-1", "-"]),
        (AgentExecutor.OPENCODE, ["--session", "s-1"]),
        (AgentExecutor.AIDER, ["--restore-chat-history"]),
    ],
)
def test_an_earlier_session_goes_on(executor: AgentExecutor, words: list[str]) -> None:
    argv = list(launch(executor, "s-1").argv)
    at = argv.index(words[0])
    assert argv[at : at + len(words)] == words
    assert words[0] not in launch(executor).argv


def test_claude_code_loads_nothing_of_the_repository() -> None:
    argv = launch(AgentExecutor.CLAUDE_CODE).argv
    assert argv[argv.index("--setting-sources") + 1] == "user"
    assert "--strict-mcp-config" in argv


def test_no_search_hosted_by_a_provider() -> None:
    argv = launch(AgentExecutor.CLAUDE_CODE).argv
    assert argv[argv.index("--disallowedTools") + 1] == "WebSearch"
    assert 'web_search="disabled"' in launch(AgentExecutor.CODEX).argv


def test_codex_settings_are_toml() -> None:
    import tomllib

    argv = launch(AgentExecutor.CODEX, model='odd "model"\t\x7f\\').argv
    settings = tomllib.loads("\n".join(argv[at + 1] for at, word in enumerate(argv) if word == "-c"))
    assert settings["model"] == 'odd "model"\t\x7f\\'
    assert settings["model_providers"]["millwright"] == {
        "name": "Millwright",
        "base_url": "http://127.0.0.1:4010/v1",
        "env_key": "MILLWRIGHT_GATEWAY_TOKEN",
        "wire_api": "responses",
    }
    assert (settings["approval_policy"], settings["sandbox_mode"]) == ("never", "danger-full-access")


def test_opencode_configuration_is_inline_and_names_the_token_only() -> None:
    started = launch(AgentExecutor.OPENCODE)
    config = json.loads(started.env["OPENCODE_CONFIG_CONTENT"])
    options = config["provider"]["millwright"]["options"]
    assert options == {"baseURL": "http://127.0.0.1:4010/v1", "apiKey": "{env:MILLWRIGHT_GATEWAY_TOKEN}"}
    assert started.env["OPENCODE_DISABLE_PROJECT_CONFIG"] == "1"


def test_aider_reads_its_settings_from_us_and_leaves_nothing_behind() -> None:
    started = launch(AgentExecutor.AIDER)
    for flag in ("--config", "--env-file", "--message-file"):
        assert started.argv[started.argv.index(flag) + 1].startswith("/state/given/")
    assert "--no-auto-commits" in started.argv
    assert started.litter == (".aider.tags.cache.v*",)
