"""aider, scripted: `aider --message-file`. It has no event stream, so the lines that it prints for people are read.

Sources of what it prints: docs/external-agents.md.
"""

import re
from collections import Counter

from adapters.agents.lines import Lines, Oversized
from adapters.agents.values import clean, long_text, title
from domain.agents.external import (
    TEXT_LIMIT,
    AgentEvent,
    AgentLaunch,
    AgentTask,
    ErrorTold,
    ResultGiven,
    Said,
    SessionStarted,
    ToolEnded,
    Unknown,
    UsageClaimed,
)

SESSION = "chat-history"
"""Its conversation is a file of the agent's HOME: there is one per run."""
LINE_LIMIT_BYTES = 64 * 1024
_EDIT = re.compile(r"Applied edit (?:intended for .+ )?to (?P<path>.+)")
_COMMIT = re.compile(r"Commit (?P<commit>[0-9a-f]{7,40}) (?P<subject>.*)")
_NUMBER = r"(?P<{}>[\d.,]+[kM]?)"
_TOKENS = re.compile(
    rf"Tokens: {_NUMBER.format('sent')} sent(?:, [\d.,]+[kM]? cache write)?"
    rf"(?:, {_NUMBER.format('hit')} cache hit)?, {_NUMBER.format('received')} received\b.*"
)
_PROBLEM = re.compile(
    r"(?:litellm\.)?\w+(?:Error|Exception)(?:: .*)?|The LLM did not conform to the edit format\..*"
    r"|Only \d+ reflections allowed, stopping\..*|# \d+ SEARCH/REPLACE blocks? failed to match!.*"
    r"|Model .+ has hit a token limit!.*|Unable to (?:read|write) .*"
)


class Aider:
    executable = "aider"
    install_hint = "uv tool install aider-chat"

    def launch(self, task: AgentTask) -> AgentLaunch:
        """Flags count more than its configuration files and `.env`, which a repository may bring along. It makes no
        commits of its own: their messages would be paid calls, and the tree is committed anew."""
        folder = task.home / ".aider"
        flags: tuple[str, ...] = (
            "--model", f"openai/{task.model}", "--weak-model", f"openai/{task.model}",
            "--openai-api-base", task.openai_url,
            "--message-file", str(task.given / "message.md"), "--config", str(task.given / "aider.conf.yml"),
            "--env-file", str(task.given / "empty.env"),
            "--input-history-file", str(folder / "input.history"),
            "--chat-history-file", str(folder / "chat.history.md"),
            "--restore-chat-history" if task.session_id else "--no-restore-chat-history",
            "--yes-always", "--no-pretty", "--no-fancy-input", "--no-auto-commits", "--no-dirty-commits",
            "--no-gitignore", "--no-check-update", "--no-show-release-notes", "--no-show-model-warnings",
            "--analytics-disable", "--no-detect-urls", "--no-suggest-shell-commands",
        )  # fmt: skip
        return AgentLaunch(
            argv=(self.executable, *flags),
            env={"OPENAI_API_KEY": task.token, "OPENAI_API_BASE": task.openai_url},
            files={"message.md": task.prompt, "aider.conf.yml": "{}\n", "empty.env": ""},
            litter=(".aider.tags.cache.v*",),
        )

    def events(self, *, resumed: str | None) -> "AiderEvents":
        return AiderEvents()


class AiderEvents:
    def __init__(self) -> None:
        self._lines = Lines(LINE_LIMIT_BYTES)
        self._began = False
        self._edits = 0
        self._text: list[str] = []
        self._size = 0
        self.unknown: Counter[str] = Counter()

    def feed(self, data: bytes) -> list[AgentEvent]:
        return [event for line in self._lines.feed(data) for event in self._read(line)]

    def finish(self) -> list[AgentEvent]:
        return [event for line in self._lines.finish() for event in self._read(line)]

    def _read(self, line: bytes | Oversized) -> list[AgentEvent]:
        first: list[AgentEvent] = [] if self._began else [SessionStarted(session_id=SESSION)]
        self._began = True
        if isinstance(line, Oversized):
            self.unknown["(oversized line)"] += 1
            shown = clean(line.head.decode("utf-8", "replace"))
            return [*first, Unknown(type=f"(oversized line: {line.size:,} bytes)", excerpt=shown)]
        return first + self._told(clean(line.decode("utf-8", "replace").rstrip("\r")))

    def _told(self, line: str) -> list[AgentEvent]:
        if found := _EDIT.fullmatch(line):
            return [self._done(f"edit: {found['path']}")]
        if found := _COMMIT.fullmatch(line):
            return [self._done(f"commit: {found['commit']} {found['subject']}")]
        if found := _TOKENS.fullmatch(line):
            claimed = UsageClaimed(
                tokens_in=_count(found["sent"]),
                tokens_out=_count(found["received"]),
                tokens_cached=_count(found["hit"]) if found["hit"] else None,
            )
            text = "\n".join(self._text).strip()
            self._text, self._size = [], 0
            return [claimed, ResultGiven(text=long_text(text))]
        if _PROBLEM.fullmatch(line):
            return [ErrorTold(message=long_text(line))]
        if self._size < TEXT_LIMIT:
            self._text.append(line)
            self._size += len(line) + 1
        return [Said(text=line)]

    def _done(self, shown: str) -> ToolEnded:
        self._edits += 1
        return ToolEnded(call_id=f"line-{self._edits}", title=title(shown), ok=True)


def _count(text: str) -> int | None:
    """`834`, `2.3k`, `12k`: rounded as it prints them."""
    factor = {"k": 1_000, "M": 1_000_000}.get(text[-1], 1)
    try:
        return round(float(text.rstrip("kM").replace(",", "")) * factor)
    except ValueError:
        return None
