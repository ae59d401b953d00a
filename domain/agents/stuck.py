"""When an agent goes round in circles: pure, over its turns, with the evidence in words.

Repetition counts only where action and observation are both the same: polling that shows progress is none.
(That two iterations end with the same change is seen one level above, in domain/runs/decide.py.)
"""

import json
import re
from collections.abc import Collection, Sequence

from domain.agents.conversation import Turn
from domain.agents.reading import read_reply
from domain.base import Frozen

SAME_IN_A_ROW = 4
"""Turns with the same action and the same observation."""
PING_PONG_TURNS = 6
"""Turns that alternate between the same two actions and observations."""
FAULTS_IN_A_ROW = 3
"""Replies of which nothing could be carried out."""

_VARIES = re.compile(
    r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
    r"|\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?\b"
    r"|\b\d+(?:\.\d+)? ?(?:ns|µs|us|ms|s|secs?|seconds?)\b"
)
"""Times and durations: they differ between two equal runs of a command."""


class Evidence(Frozen):
    message: str
    """What was repeated, and how often."""
    excerpt: str


def stuck_in(turns: Sequence[Turn], tools: Collection[str]) -> Evidence | None:
    """None: it gets on. Looks at the newest whole turns only."""
    newest = [turn for turn in turns[-(PING_PONG_TURNS + 1) :] if turn.whole][-PING_PONG_TURNS:]
    return _faults(newest[-FAULTS_IN_A_ROW:], tools) or _same(newest[-SAME_IN_A_ROW:]) or _ping_pong(newest)


def _faults(turns: Sequence[Turn], tools: Collection[str]) -> Evidence | None:
    if len(turns) < FAULTS_IN_A_ROW:
        return None
    faults = [read_reply(turn.reply, tools).fault for turn in turns]
    if None in faults:
        return None
    kinds = ", ".join(dict.fromkeys(str(fault).replace("_", " ") for fault in faults))
    return Evidence(
        message=f"{FAULTS_IN_A_ROW} replies in a row could not be carried out ({kinds}).",
        excerpt="\n".join(_reply_line(turn) for turn in turns),
    )


def _same(turns: Sequence[Turn]) -> Evidence | None:
    if len(turns) < SAME_IN_A_ROW or not _repeats(turns, every=1):
        return None
    return Evidence(
        message=f"The agent did the same thing {SAME_IN_A_ROW} times in a row and saw the same each time.",
        excerpt=_both(turns[-1]),
    )


def _ping_pong(turns: Sequence[Turn]) -> Evidence | None:
    if len(turns) < PING_PONG_TURNS or not _repeats(turns, every=2):
        return None
    return Evidence(
        message=f"The agent went back and forth between the same two actions for {PING_PONG_TURNS} turns.",
        excerpt=f"{_both(turns[-2])}\n{_both(turns[-1])}",
    )


def _repeats(turns: Sequence[Turn], *, every: int) -> bool:
    """Whether each turn is like the one so many before it. Actions first: observations may be long."""
    return all(
        look(turns[index]) == look(turns[index - every])
        for look in (_action, _observation)
        for index in range(every, len(turns))
    )


def _action(turn: Turn) -> object:
    calls = [(call.name, _canonical(call.arguments)) for call in turn.reply.tool_calls]
    return calls, turn.reply.text if not calls else ""


def _observation(turn: Turn) -> object:
    return [(result.is_error, _VARIES.sub("<time>", result.text)) for result in turn.results], turn.note


def _canonical(arguments: str) -> str:
    """Equal objects are equal, however they are written."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


def _both(turn: Turn) -> str:
    lines = [_reply_line(turn)]
    lines += [f"  -> {_short(result.text, 600)}" for result in turn.results[:3]]
    return "\n".join(lines)


def _reply_line(turn: Turn) -> str:
    calls = "; ".join(f"{call.name} {_short(call.arguments, 200)}" for call in turn.reply.tool_calls[:5])
    return f"turn {turn.number}: {calls or _short(turn.reply.text, 300) or '(an empty reply)'}"


def _short(text: str, limit: int) -> str:
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"
