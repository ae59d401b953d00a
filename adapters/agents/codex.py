"""Codex, headless: `codex exec --json`. Sources of the format: docs/external-agents.md."""

import json
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

TOKEN_VARIABLE = "MILLWRIGHT_GATEWAY_TOKEN"
_QUIET = {"turn.started", "item.updated", "item.plan.delta"}
_QUIET_ITEMS = {"reasoning", "todo_list", "plan"}


class Codex:
    executable = "codex"
    install_hint = "npm install -g @openai/codex"

    def launch(self, task: AgentTask) -> AgentLaunch:
        """Everything is said on the command line, which counts more than any file, the repository's own included.
        Its own sandbox is off: it runs in ours."""
        provider = {
            "name": "Millwright",
            "base_url": task.openai_url,
            "env_key": TOKEN_VARIABLE,
            "wire_api": "responses",
        }
        table = ", ".join(f"{key} = {_toml(value)}" for key, value in provider.items())
        settings = {
            "model": _toml(task.model),
            "model_provider": _toml("millwright"),
            "model_providers.millwright": f"{{ {table} }}",
            "approval_policy": _toml("never"),
            "sandbox_mode": _toml("danger-full-access"),
            "shell_environment_policy.exclude": f"[{_toml(TOKEN_VARIABLE)}]",
            # a search hosted by the provider costs fees that nobody counts, and cannot be carried across formats
            "web_search": _toml("disabled"),
            "check_for_update_on_startup": "false",
        }
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        resume = () if task.session_id is None else ("resume", task.session_id)
        return AgentLaunch(
            argv=(self.executable, "exec", "--json", "--skip-git-repo-check", *words, *resume, "-"),
            env={TOKEN_VARIABLE: task.token, "CODEX_HOME": str(task.home / ".codex")},
            stdin=task.prompt,
        )

    def events(self, *, resumed: str | None) -> "CodexEvents":
        return CodexEvents()


def _toml(value: str) -> str:
    """A basic string of TOML: JSON's escapes are among its own."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


class CodexEvents(JsonLines):
    def __init__(self) -> None:
        super().__init__()
        self._last_text = ""

    def read(self, event: dict[str, Any]) -> list[AgentEvent] | None:
        match event.get("type"):
            case "thread.started" if session(event.get("thread_id")):
                return [SessionStarted(session_id=session(event.get("thread_id")))]
            case "item.started":
                return self._item(mapping(event.get("item")), ended=False)
            case "item.completed":
                return self._item(mapping(event.get("item")), ended=True)
            case "turn.completed":
                return [_usage(mapping(event.get("usage"))), ResultGiven(text=self._last_text)]
            case "turn.failed":
                message = long_text(mapping(event.get("error")).get("message")) or "the turn failed"
                return [ErrorTold(message=message), ResultGiven(text=message, ok=False, reason="turn.failed")]
            case "error":
                return [ErrorTold(message=long_text(event.get("message")) or dumped(event))]
            case str() as name if name in _QUIET:
                return []
        return None

    def _item(self, item: dict[str, Any], *, ended: bool) -> list[AgentEvent] | None:
        """What it thinks and plans is not kept."""
        kind = item.get("type", item.get("item_type"))
        if not isinstance(kind, str):
            return None
        if kind in _QUIET_ITEMS:
            return []
        if kind in ("agent_message", "assistant_message"):
            return self._said(item) if ended else []
        if kind == "error":
            return [ErrorTold(message=long_text(item.get("message")))] if ended else []
        shown = _title(kind, item)
        if shown is None:
            return None
        call_id = identifier(item.get("id"))
        if not ended:
            return [ToolBegun(call_id=call_id, title=shown)]
        code = item.get("exit_code")
        code = code if isinstance(code, int) and not isinstance(code, bool) else None
        ok = item.get("status") not in ("failed", "declined") and code in (None, 0) and not item.get("error")
        return [ToolEnded(call_id=call_id, title=shown, ok=ok, excerpt=excerpt(_outcome(item)), exit_code=code)]

    def _said(self, item: dict[str, Any]) -> list[AgentEvent]:
        text = long_text(item.get("text"))
        self._last_text = text or self._last_text
        return [Said(text=text)] if text else []


def _title(kind: str, item: dict[str, Any]) -> str | None:
    """None: a kind of item that we do not know."""
    match kind:
        case "command_execution":
            return title(f"command: {text_of(item.get('command'))}")
        case "file_change":
            changes = map(mapping, sequence(item.get("changes")))
            return title("edit: " + ", ".join(f"{text_of(c.get('kind'))} {text_of(c.get('path'))}" for c in changes))
        case "mcp_tool_call":
            called = f"{text_of(item.get('server'))}: {text_of(item.get('tool'))}"
            return title(f"{called} {dumped(item['arguments'])}" if item.get("arguments") else called)
        case "collab_tool_call":
            return title(f"agent: {text_of(item.get('tool'))}")
        case "web_search":
            return title(f"web search: {text_of(item.get('query'))}")
    return None


def _outcome(item: dict[str, Any]) -> object:
    problem = text_of(mapping(item.get("error")).get("message"))
    return problem or item.get("aggregated_output") or item.get("result")


def _usage(usage: dict[str, Any]) -> UsageClaimed:
    return UsageClaimed(
        tokens_in=whole(usage.get("input_tokens")),
        tokens_out=whole(usage.get("output_tokens")),
        tokens_cached=whole(usage.get("cached_input_tokens")),
    )
