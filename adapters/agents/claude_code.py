"""Claude Code, headless: `claude -p --output-format stream-json`. Sources of the format: docs/external-agents.md."""

from typing import Any

from adapters.agents.json_lines import JsonLines
from adapters.agents.values import (
    dumped,
    excerpt,
    identifier,
    long_text,
    mapping,
    sequence,
    session,
    text_of,
    title,
    whole,
)
from domain.agents.external import (
    AgentEvent,
    AgentLaunch,
    AgentTask,
    ErrorTold,
    ResultGiven,
    Said,
    SessionStarted,
    ToolBegun,
    ToolEnded,
    UsageClaimed,
)

_QUIET = {"stream_event", "rate_limit_event", "keep_alive", "control_request", "control_response", "tool_progress"}
"""Known types that tell nothing for the record."""
_QUIET_SYSTEM = {
    "compact_boundary", "status", "api_retry", "hook_started", "hook_progress", "hook_response", "task_started",
    "task_progress", "task_notification", "task_updated",
}  # fmt: skip
_MAIN_ARGUMENT = {
    "Bash": "command", "Read": "file_path", "Edit": "file_path", "MultiEdit": "file_path", "Write": "file_path",
    "NotebookEdit": "notebook_path", "Glob": "pattern", "Grep": "pattern", "Task": "description",
    "Agent": "description", "WebFetch": "url", "WebSearch": "query", "Skill": "skill",
}  # fmt: skip


class ClaudeCode:
    executable = "claude"
    install_hint = "npm install -g @anthropic-ai/claude-code"

    def launch(self, task: AgentTask) -> AgentLaunch:
        """Settings, hooks and servers of the repository are not loaded: only the user's, and that folder is ours."""
        resume = () if task.session_id is None else (f"--resume={task.session_id}",)
        return AgentLaunch(
            argv=(
                self.executable, "-p", "--output-format", "stream-json", "--verbose",
                "--permission-mode", "bypassPermissions", "--setting-sources", "user", "--strict-mcp-config",
                # a search hosted by the provider costs fees that nobody counts, and cannot be carried across formats
                "--disallowedTools", "WebSearch",
                "--model", task.model, *resume,
            ),
            env={
                "ANTHROPIC_BASE_URL": task.anthropic_url,
                "ANTHROPIC_AUTH_TOKEN": task.token,
                # every size that it may choose by itself is the one model that the phase was given
                "ANTHROPIC_MODEL": task.model,
                "ANTHROPIC_SMALL_FAST_MODEL": task.model,
                "ANTHROPIC_DEFAULT_HAIKU_MODEL": task.model,
                "ANTHROPIC_DEFAULT_SONNET_MODEL": task.model,
                "ANTHROPIC_DEFAULT_OPUS_MODEL": task.model,
                "CLAUDE_CODE_SUBAGENT_MODEL": task.model,
                "CLAUDE_CONFIG_DIR": str(task.home / ".claude"),
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_AUTOUPDATER": "1",
                "DISABLE_TELEMETRY": "1",
                "DISABLE_ERROR_REPORTING": "1",
            },
            stdin=task.prompt,
        )  # fmt: skip

    def events(self, *, resumed: str | None) -> "ClaudeCodeEvents":
        return ClaudeCodeEvents()


class ClaudeCodeEvents(JsonLines):
    def __init__(self) -> None:
        super().__init__()
        self._session = ""

    def read(self, event: dict[str, Any]) -> list[AgentEvent] | None:
        match event.get("type"):
            case "system":
                return self._system(event)
            case "assistant":
                return self._assistant(event)
            case "user":
                return self._user(event)
            case "result":
                return [*self._session_of(event), *_result(event)]
            case str() as name if name in _QUIET:
                return []
        return None

    def _system(self, event: dict[str, Any]) -> list[AgentEvent] | None:
        subtype = event.get("subtype")
        if subtype == "init":
            return self._session_of(event)
        return [] if isinstance(subtype, str) and subtype in _QUIET_SYSTEM else None

    def _session_of(self, event: dict[str, Any]) -> list[AgentEvent]:
        found = session(event.get("session_id"))
        if not found or found == self._session:
            return []
        self._session = found
        return [SessionStarted(session_id=found)]

    def _assistant(self, event: dict[str, Any]) -> list[AgentEvent]:
        """Texts and tool calls; what it thinks is not kept."""
        told: list[AgentEvent] = []
        for block in map(mapping, sequence(mapping(event.get("message")).get("content"))):
            match block.get("type"):
                case "text" if text_of(block.get("text")):
                    told.append(Said(text=long_text(block.get("text"))))
                case "tool_use" | "server_tool_use":
                    told.append(ToolBegun(call_id=identifier(block.get("id")), title=_title(block)))
        if problem := text_of(event.get("error")):
            told.append(ErrorTold(message=problem))
        return told

    def _user(self, event: dict[str, Any]) -> list[AgentEvent]:
        return [
            ToolEnded(
                call_id=identifier(block.get("tool_use_id")),
                title="",
                ok=block.get("is_error") is not True,
                excerpt=excerpt(_joined(block.get("content"))),
            )
            for block in map(mapping, sequence(mapping(event.get("message")).get("content")))
            if block.get("type") == "tool_result"
        ]


def _title(block: dict[str, Any]) -> str:
    name, arguments = text_of(block.get("name")) or "tool", mapping(block.get("input"))
    main = arguments.get(_MAIN_ARGUMENT.get(name, ""))
    shown = main if isinstance(main, str) else dumped(arguments) if arguments else ""
    return title(f"{name}: {shown}" if shown else name)


def _joined(content: object) -> object:
    """A tool's result is a text, or blocks of which the texts count."""
    if not isinstance(content, list):
        return content
    return "\n".join(text_of(block.get("text")) or f"[{text_of(block.get('type'))}]" for block in map(mapping, content))


def _result(event: dict[str, Any]) -> list[AgentEvent]:
    usage = mapping(event.get("usage"))
    fresh, written, read = (
        whole(usage.get(name)) for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    )
    claimed = UsageClaimed(
        tokens_in=None if fresh is None else fresh + (written or 0) + (read or 0),
        tokens_out=whole(usage.get("output_tokens")),
        tokens_cached=read,
    )
    subtype = text_of(event.get("subtype"))
    ok = subtype == "success" and event.get("is_error") is not True
    problems = [text_of(problem) for problem in sequence(event.get("errors"))]
    text = long_text(event.get("result")) or long_text("\n".join(filter(None, problems)))
    return [claimed, ResultGiven(text=text, ok=ok, reason="" if ok else title(subtype or "error"))]
