"""Every external agent that a phase may name as its executor."""

from adapters.agents.aider import Aider
from adapters.agents.claude_code import ClaudeCode
from adapters.agents.codex import Codex
from adapters.agents.opencode import Opencode
from domain.agents.external import ExternalAgents
from domain.pipelines.spec import AgentExecutor

EXTERNAL_AGENTS: ExternalAgents = {
    AgentExecutor.CLAUDE_CODE: ClaudeCode(),
    AgentExecutor.CODEX: Codex(),
    AgentExecutor.OPENCODE: Opencode(),
    AgentExecutor.AIDER: Aider(),
}
