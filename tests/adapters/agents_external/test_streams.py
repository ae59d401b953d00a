"""Event streams of external agents: what they tell, cut anywhere, and whatever else may come."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.agents.claude_code import ClaudeCodeEvents
from adapters.agents.codex import CodexEvents
from adapters.agents.json_lines import UNKNOWN_NAMES
from adapters.agents.lines import LINE_LIMIT_BYTES
from adapters.agents.registry import EXTERNAL_AGENTS
from domain.agents.external import (
    TEXT_LIMIT,
    TITLE_LIMIT,
    TOOL_EXCERPT_LIMIT,
    AgentEvent,
    ErrorTold,
    ResultGiven,
    Said,
    SessionStarted,
    ToolBegun,
    ToolEnded,
    Unknown,
    UsageClaimed,
)
from domain.pipelines.spec import AgentExecutor
from tests.adapters.agents_external.samples import AIDER, CLAUDE, CODEX, OPENCODE, lines

WHOLE = {
    AgentExecutor.CLAUDE_CODE: lines(*CLAUDE),
    AgentExecutor.CODEX: lines(*CODEX),
    AgentExecutor.OPENCODE: lines(*OPENCODE),
    AgentExecutor.AIDER: AIDER,
}
JSON_AGENTS = [executor for executor in WHOLE if executor is not AgentExecutor.AIDER]


def read(executor: AgentExecutor, *pieces: bytes) -> list[AgentEvent]:
    stream = EXTERNAL_AGENTS[executor].events(resumed=None)
    return [event for piece in pieces for event in stream.feed(piece)] + stream.finish()


def test_every_external_executor_has_its_agent() -> None:
    assert set(EXTERNAL_AGENTS) == set(AgentExecutor) - {AgentExecutor.BUILTIN} == set(WHOLE)


def test_claude_code() -> None:
    assert read(AgentExecutor.CLAUDE_CODE, lines(*CLAUDE)) == [
        SessionStarted(session_id="7f0a3a5e-0d0a-4d7e-9b7d-6a2f5d0c1b11"),
        Said(text="I will look at it."),
        ToolBegun(call_id="toolu_1", title="Bash: ls -l pwd"),
        ToolEnded(call_id="toolu_1", title="", ok=True, excerpt="total 4\nä.py"),
        Unknown(type="a_type_of_tomorrow", excerpt='{"type": "a_type_of_tomorrow", "data": [1, 2]}'),
        ToolBegun(call_id="toolu_2", title="Edit: src/a.py"),
        ToolEnded(call_id="toolu_2", title="", ok=False, excerpt="String to replace not found"),
        UsageClaimed(tokens_in=135, tokens_out=60, tokens_cached=100),
        ResultGiven(text="Done: the sum is right now."),
    ]


def test_claude_code_says_why_it_gave_up() -> None:
    told = read(
        AgentExecutor.CLAUDE_CODE,
        lines({"type": "result", "subtype": "error_during_execution", "is_error": True, "errors": ["No such session"]}),
    )
    assert told[-1] == ResultGiven(text="No such session", ok=False, reason="error_during_execution")
    told = read(
        AgentExecutor.CLAUDE_CODE,
        lines({"type": "result", "subtype": "success", "is_error": True, "result": "API Error: 403", "usage": {}}),
    )
    assert told == [UsageClaimed(), ResultGiven(text="API Error: 403", ok=False, reason="success")]


def test_codex() -> None:
    tomorrow = {"type": "item.completed", "item": {"id": "item_4", "type": "an_item_of_tomorrow", "x": 1}}
    assert read(AgentExecutor.CODEX, lines(*CODEX)) == [
        SessionStarted(session_id="0199a213-81c0-7800-8aa1-bbab2a035a53"),
        ToolBegun(call_id="item_1", title="command: bash -lc ls"),
        ToolEnded(call_id="item_1", title="command: bash -lc ls", ok=False, excerpt="ä.py\n", exit_code=2),
        ToolEnded(call_id="item_2", title="edit: update a.py, add b.py", ok=True),
        ToolBegun(call_id="item_3", title='docs: find {"q": "sum"}'),
        ToolEnded(call_id="item_3", title='docs: find {"q": "sum"}', ok=False, excerpt="no such page"),
        Unknown(type="item.completed", excerpt=json.dumps(tomorrow)),
        Said(text="Done."),
        UsageClaimed(tokens_in=24763, tokens_out=122, tokens_cached=24448),
        ResultGiven(text="Done."),
    ]


def test_codex_fails_a_turn() -> None:
    assert read(
        AgentExecutor.CODEX,
        lines({"type": "error", "message": "stream lost, trying again"}),
        lines({"type": "turn.failed", "error": {"message": "403"}}),
    ) == [
        ErrorTold(message="stream lost, trying again"),
        ErrorTold(message="403"),
        ResultGiven(text="403", ok=False, reason="turn.failed"),
    ]  # fmt: skip


def test_opencode() -> None:
    assert read(AgentExecutor.OPENCODE, lines(*OPENCODE)) == [
        SessionStarted(session_id="ses_4f2c81a3effeK1m2n3"),
        ToolEnded(call_id="call_1", title="bash: List files", ok=True, excerpt="ä.py\n", exit_code=0),
        ToolEnded(call_id="call_2", title='edit: {"filePath": "a.py"}', ok=False, excerpt="oldString not found"),
        UsageClaimed(tokens_in=113, tokens_out=6, tokens_cached=100),
        Unknown(type="an_event_of_tomorrow", excerpt=json.dumps(OPENCODE[4])),
        Said(text="Done."),
        UsageClaimed(tokens_in=114, tokens_out=8, tokens_cached=100),
        ResultGiven(text="Done."),
    ]


def test_opencode_tells_an_error() -> None:
    error = {"name": "APIError", "data": {"message": "Forbidden", "statusCode": 403}}
    assert read(AgentExecutor.OPENCODE, lines({"type": "error", "sessionID": "ses_1", "error": error})) == [
        SessionStarted(session_id="ses_1"),
        ErrorTold(message="Forbidden"),
    ]


def test_aider() -> None:
    assert read(AgentExecutor.AIDER, AIDER) == [
        SessionStarted(session_id="chat-history"),
        *(Said(text=line) for line in AIDER.decode().splitlines()[:6]),
        ToolEnded(call_id="line-1", title="edit: ä.py", ok=True),
        UsageClaimed(tokens_in=2300, tokens_out=120, tokens_cached=1100),
        ResultGiven(text="\n".join(AIDER.decode().splitlines()[:6])),
    ]


@pytest.mark.parametrize(
    "line",
    ["litellm.AuthenticationError: AuthenticationError: OpenAIException - no", "Only 3 reflections allowed, stopping."],
)
def test_aider_tells_an_error(line: str) -> None:
    told = read(AgentExecutor.AIDER, line.encode() + b"\n")
    assert told == [SessionStarted(session_id="chat-history"), ErrorTold(message=line)]


@pytest.mark.parametrize("executor", WHOLE)
def test_byte_by_byte_is_the_same(executor: AgentExecutor) -> None:
    whole = WHOLE[executor]
    assert read(executor, *(whole[at : at + 1] for at in range(len(whole)))) == read(executor, whole)


@pytest.mark.parametrize("executor", WHOLE)
@given(cuts=st.lists(st.integers(0, 4000)))
@settings(max_examples=30)
def test_any_cut_is_the_same(executor: AgentExecutor, cuts: list[int]) -> None:
    whole = WHOLE[executor]
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(places)]
    assert read(executor, *pieces) == read(executor, whole)


@pytest.mark.parametrize("executor", JSON_AGENTS)
def test_a_stream_cut_off_in_an_event_gives_no_result(executor: AgentExecutor) -> None:
    whole = WHOLE[executor].rstrip(b"\n")
    told = read(executor, whole[:-20])
    assert isinstance(told[-1], Unknown)
    assert not any(isinstance(event, ResultGiven) for event in told)


@pytest.mark.parametrize("executor", WHOLE)
def test_a_last_line_without_its_newline_counts(executor: AgentExecutor) -> None:
    assert read(executor, WHOLE[executor].rstrip(b"\n")) == read(executor, WHOLE[executor])


@pytest.mark.parametrize("executor", WHOLE)
def test_what_it_thinks_is_not_kept(executor: AgentExecutor) -> None:
    assert "private thought" not in str(read(executor, WHOLE[executor]))


def test_unknown_types_are_counted_with_a_bound_on_names() -> None:
    stream = CodexEvents()
    stream.feed(lines(*({"type": f"new.{n}"} for n in range(3 * UNKNOWN_NAMES)), {"type": "new.0"}))
    assert stream.unknown["new.0"] == 2
    assert sum(stream.unknown.values()) == 3 * UNKNOWN_NAMES + 1
    assert len(stream.unknown) == UNKNOWN_NAMES + 1


def test_a_line_above_the_limit_is_bounded_and_what_follows_is_read() -> None:
    stream = ClaudeCodeEvents()
    told = stream.feed(b'{"type": "user", "x": "' + b"x" * LINE_LIMIT_BYTES)
    for _ in range(3):
        told += stream.feed(b"x" * LINE_LIMIT_BYTES)
    told += stream.feed(b'"}\n' + lines(CLAUDE[0]))
    assert [type(event) for event in told] == [Unknown, SessionStarted]
    assert isinstance(told[0], Unknown)
    assert told[0].type.startswith("(oversized line: 33,554")
    assert len(told[0].excerpt) <= TOOL_EXCERPT_LIMIT


@pytest.mark.parametrize("executor", WHOLE)
def test_bytes_that_are_no_text_are_shown_safely(executor: AgentExecutor) -> None:
    bad = WHOLE[executor].replace("ä".encode(), b"\xff\xc3")
    told = read(executor, bad)
    assert len(told) == len(read(executor, WHOLE[executor]))
    assert "�" in str(told)


LIMITS = {"title": TITLE_LIMIT, "excerpt": TOOL_EXCERPT_LIMIT, "call_id": 200, "session_id": 128}


def storable(events: list[AgentEvent]) -> None:
    """As PostgreSQL and UTF-8 want it, and bounded."""
    for event in events:
        event.model_dump_json().encode()
        for name, value in event.model_dump().items():
            if isinstance(value, str):
                assert "\0" not in value
                assert len(value) <= LIMITS.get(name, TEXT_LIMIT)


TYPES = [
    "system", "assistant", "user", "result", "stream_event", "thread.started", "turn.completed", "turn.failed",
    "item.started", "item.completed", "error", "text", "tool_use", "step_finish", "step_start",
]  # fmt: skip
NAMES = [
    "type", "subtype", "session_id", "message", "content", "id", "name", "input", "tool_use_id", "is_error", "usage",
    "result", "errors", "thread_id", "item", "command", "exit_code", "status", "changes", "error", "arguments", "part",
    "sessionID", "state", "metadata", "exit", "tokens", "cache", "reason", "tool", "title", "text", "input_tokens",
]  # fmt: skip
ODD = ["\0", "\ud800", "command_execution", "tool_result"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([*TYPES, *ODD]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("executor", JSON_AGENTS)
@given(kind=st.sampled_from(TYPES), rest=st.dictionaries(st.sampled_from(NAMES[1:]), VALUES, max_size=6))
@settings(max_examples=150)
def test_no_value_of_any_shape_breaks_a_reader(executor: AgentExecutor, kind: str, rest: dict[str, Any]) -> None:
    storable(read(executor, json.dumps({"type": kind, **rest}).encode() + b"\n"))


@pytest.mark.parametrize("executor", WHOLE)
@given(data=st.binary(max_size=300))
@settings(max_examples=100)
def test_no_bytes_break_a_reader(executor: AgentExecutor, data: bytes) -> None:
    storable(read(executor, data))


@pytest.mark.parametrize("executor", JSON_AGENTS)
def test_nesting_and_numbers_without_end(executor: AgentExecutor) -> None:
    told = read(executor, b"[" * 200_000 + b"\n" + b"9" * 10_000 + b"\n" + b'{"type": ' + b"9" * 10_000 + b"}\n")
    assert [event.type for event in told if isinstance(event, Unknown)] == ["(no JSON)"] * 3


@pytest.mark.parametrize("odd", ["--dangerous", "a b", "", "x" * 200, None, 7, "a\nb"])
def test_a_session_that_could_be_taken_for_a_flag_is_none(odd: object) -> None:
    started = [{"type": "thread.started", "thread_id": odd}, {"type": "system", "subtype": "init", "session_id": odd}]
    for executor in JSON_AGENTS:
        told = read(executor, lines(*started, {"type": "step_start", "sessionID": odd}))
        assert not any(isinstance(event, SessionStarted) for event in told)
