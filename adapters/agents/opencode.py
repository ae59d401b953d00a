"""opencode, headless: `opencode run --format json`. Sources of the format: docs/external-agents.md."""

import json
from typing import Any

from adapters.agents.json_lines import JsonLines
from adapters.agents.values import (
    dumped,
    excerpt,
    identifier,
    long_text,
    mapping,
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
    ToolEnded,
    UsageClaimed,
)

TOKEN_VARIABLE = "MILLWRIGHT_GATEWAY_TOKEN"
_QUIET = {"step_start", "reasoning", "done"}
_GOES_ON = {"tool-calls", "tool_calls"}
_CUT_OFF = {"length", "content-filter", "error"}


class Opencode:
    executable = "opencode"
    install_hint = "npm install -g opencode-ai"

    def launch(self, task: AgentTask) -> AgentLaunch:
        """The inline configuration counts more than any file; the repository's own is not read at all."""
        config = {
            "provider": {
                "millwright": {
                    "npm": "@ai-sdk/openai-compatible",
                    "name": "Millwright",
                    "options": {"baseURL": task.openai_url, "apiKey": f"{{env:{TOKEN_VARIABLE}}}"},
                    "models": {task.model: {"name": task.model}},
                }
            },
            "model": f"millwright/{task.model}",
            "small_model": f"millwright/{task.model}",
            "permission": {"*": "allow", "edit": "allow", "bash": "allow", "webfetch": "allow"},
            "share": "disabled",
            "autoupdate": False,
        }
        resume = () if task.session_id is None else ("--session", task.session_id)
        return AgentLaunch(
            argv=(self.executable, "run", "--format", "json", "--model", f"millwright/{task.model}", *resume),
            env={
                TOKEN_VARIABLE: task.token,
                "OPENCODE_CONFIG_CONTENT": json.dumps(config),
                "OPENCODE_DISABLE_PROJECT_CONFIG": "1",
                "OPENCODE_DISABLE_AUTOUPDATE": "1",
                "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
                "OPENCODE_DISABLE_MODELS_FETCH": "1",
                "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
                "XDG_CONFIG_HOME": str(task.home / ".config"),
                "XDG_DATA_HOME": str(task.home / ".local/share"),
                "XDG_STATE_HOME": str(task.home / ".local/state"),
                "XDG_CACHE_HOME": str(task.home / ".cache"),
            },
            stdin=task.prompt,
        )

    def events(self, *, resumed: str | None) -> "OpencodeEvents":
        return OpencodeEvents()


class OpencodeEvents(JsonLines):
    """Tool calls are told only when they have ended. A step that ends for another reason than tool calls is the end
    of the turn: that is its result."""

    def __init__(self) -> None:
        super().__init__()
        self._session = ""
        self._last_text = ""
        self._used: dict[str, int] = {}

    def read(self, event: dict[str, Any]) -> list[AgentEvent] | None:
        told = self._told(event)
        return None if told is None else [*self._session_of(event), *told]

    def _told(self, event: dict[str, Any]) -> list[AgentEvent] | None:
        part = mapping(event.get("part"))
        match event.get("type"):
            case "text":
                text = long_text(part.get("text"))
                self._last_text = text or self._last_text
                return [Said(text=text)] if text else []
            case "tool_use":
                return [_tool(part)]
            case "step_finish":
                return self._step(part)
            case "error":
                return [ErrorTold(message=_problem(event.get("error")))]
            case str() as name if name in _QUIET:
                return []
        return None

    def _session_of(self, event: dict[str, Any]) -> list[AgentEvent]:
        found = session(event.get("sessionID"))
        if not found or found == self._session:
            return []
        self._session = found
        return [SessionStarted(session_id=found)]

    def _step(self, part: dict[str, Any]) -> list[AgentEvent]:
        """Usage is claimed step by step; it is told as the sum so far."""
        tokens = mapping(part.get("tokens"))
        cache = mapping(tokens.get("cache"))
        for name, value in (
            ("in", tokens.get("input")), ("in", cache.get("read")), ("in", cache.get("write")),
            ("out", tokens.get("output")), ("out", tokens.get("reasoning")), ("cached", cache.get("read")),
        ):  # fmt: skip
            if (count := whole(value)) is not None:
                self._used[name] = self._used.get(name, 0) + count
        claimed = UsageClaimed(
            tokens_in=self._used.get("in"), tokens_out=self._used.get("out"), tokens_cached=self._used.get("cached")
        )
        reason = text_of(part.get("reason"))
        if reason in _GOES_ON:
            return [claimed]
        ok = reason not in _CUT_OFF
        return [claimed, ResultGiven(text=self._last_text, ok=ok, reason="" if ok else title(reason))]


def _tool(part: dict[str, Any]) -> ToolEnded:
    state = mapping(part.get("state"))
    name = text_of(part.get("tool")) or "tool"
    arguments = state.get("input")
    shown = text_of(state.get("title")) or (dumped(arguments) if arguments else "")
    code = mapping(state.get("metadata")).get("exit")
    code = code if isinstance(code, int) and not isinstance(code, bool) else None
    return ToolEnded(
        call_id=identifier(part.get("callID")) or identifier(part.get("id")),
        title=title(f"{name}: {shown}" if shown else name),
        ok=state.get("status") != "error" and code in (None, 0),
        excerpt=excerpt(state.get("error") or state.get("output")),
        exit_code=code,
    )


def _problem(error: object) -> str:
    found = mapping(error)
    return long_text(mapping(found.get("data")).get("message")) or long_text(found.get("name")) or dumped(error)
