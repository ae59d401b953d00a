"""The SDKs that coding agents are made with, pointed at a gateway; and one tool in each of their formats."""

from typing import Any

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from domain.gateway.ports import GatewayAccess

TOOL = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
CHAT_TOOLS: list[Any] = [{"type": "function", "function": {"name": "bash", "description": "runs", "parameters": TOOL}}]
RESPONSES_TOOLS: list[Any] = [{"type": "function", "name": "bash", "description": "runs", "parameters": TOOL}]
ANTHROPIC_TOOLS: list[Any] = [{"name": "bash", "description": "runs", "input_schema": TOOL}]


def openai_client(access: GatewayAccess, retries: int = 0) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=access.base_url_openai, api_key=access.token, max_retries=retries)


def anthropic_client(access: GatewayAccess) -> AsyncAnthropic:
    return AsyncAnthropic(base_url=access.base_url_anthropic, auth_token=access.token, api_key=None, max_retries=0)
