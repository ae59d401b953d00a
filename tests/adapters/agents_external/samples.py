"""One whole turn of each agent, as its own documentation and sources show the format."""

import json

CLAUDE = (
    {
        "type": "system",
        "subtype": "init",
        "session_id": "7f0a3a5e-0d0a-4d7e-9b7d-6a2f5d0c1b11",
        "cwd": "/work",
        "tools": ["Bash", "Edit"],
        "model": "claude-sonnet-4-5",
        "permissionMode": "bypassPermissions",
    },
    {
        "type": "assistant",
        "message": {
            "id": "msg_1",
            "role": "assistant",
            "model": "claude-sonnet-4-5",
            "content": [
                {"type": "thinking", "thinking": "a private thought", "signature": "x"},
                {"type": "text", "text": "I will look at it."},
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls -l\npwd"}},
            ],
            "usage": {"input_tokens": 10, "output_tokens": 20},
        },
        "session_id": "7f0a3a5e-0d0a-4d7e-9b7d-6a2f5d0c1b11",
        "parent_tool_use_id": None,
    },
    {
        "type": "user",
        "message": {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "total 4\nä.py", "is_error": False}
            ],
        },
        "session_id": "7f0a3a5e-0d0a-4d7e-9b7d-6a2f5d0c1b11",
    },
    {"type": "a_type_of_tomorrow", "data": [1, 2]},
    {
        "type": "assistant",
        "message": {
            "content": [{"type": "tool_use", "id": "toolu_2", "name": "Edit", "input": {"file_path": "src/a.py"}}]
        },
    },
    {
        "type": "user",
        "message": {
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": [{"type": "text", "text": "String to replace not found"}],
                    "is_error": True,
                }
            ]
        },
    },
    {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "duration_ms": 1200,
        "duration_api_ms": 900,
        "num_turns": 3,
        "result": "Done: the sum is right now.",
        "session_id": "7f0a3a5e-0d0a-4d7e-9b7d-6a2f5d0c1b11",
        "total_cost_usd": 0.01,
        "usage": {
            "input_tokens": 30,
            "cache_creation_input_tokens": 5,
            "cache_read_input_tokens": 100,
            "output_tokens": 60,
        },
    },
)

CODEX = (
    {"type": "thread.started", "thread_id": "0199a213-81c0-7800-8aa1-bbab2a035a53"},
    {"type": "turn.started"},
    {"type": "item.completed", "item": {"id": "item_0", "type": "reasoning", "text": "a private thought"}},
    {
        "type": "item.started",
        "item": {
            "id": "item_1",
            "type": "command_execution",
            "command": "bash -lc ls",
            "aggregated_output": "",
            "status": "in_progress",
        },
    },
    {
        "type": "item.completed",
        "item": {
            "id": "item_1",
            "type": "command_execution",
            "command": "bash -lc ls",
            "aggregated_output": "ä.py\n",
            "exit_code": 2,
            "status": "failed",
        },
    },
    {
        "type": "item.completed",
        "item": {
            "id": "item_2",
            "type": "file_change",
            "changes": [{"path": "a.py", "kind": "update"}, {"path": "b.py", "kind": "add"}],
            "status": "completed",
        },
    },
    {
        "type": "item.started",
        "item": {
            "id": "item_3",
            "type": "mcp_tool_call",
            "server": "docs",
            "tool": "find",
            "arguments": {"q": "sum"},
            "status": "in_progress",
        },
    },
    {
        "type": "item.completed",
        "item": {
            "id": "item_3",
            "type": "mcp_tool_call",
            "server": "docs",
            "tool": "find",
            "arguments": {"q": "sum"},
            "result": None,
            "error": {"message": "no such page"},
            "status": "failed",
        },
    },
    {"type": "item.completed", "item": {"id": "item_4", "type": "an_item_of_tomorrow", "x": 1}},
    {"type": "item.completed", "item": {"id": "item_5", "type": "agent_message", "text": "Done."}},
    {"type": "turn.completed", "usage": {"input_tokens": 24763, "cached_input_tokens": 24448, "output_tokens": 122}},
)

_SESSION = "ses_4f2c81a3effeK1m2n3"
OPENCODE = (
    {"type": "step_start", "timestamp": 1, "sessionID": _SESSION, "part": {"type": "step-start"}},
    {
        "type": "tool_use",
        "timestamp": 2,
        "sessionID": _SESSION,
        "part": {
            "id": "prt_1",
            "type": "tool",
            "callID": "call_1",
            "tool": "bash",
            "state": {
                "status": "completed",
                "input": {"command": "ls"},
                "title": "List files",
                "output": "ä.py\n",
                "metadata": {"exit": 0},
            },
        },
    },
    {
        "type": "tool_use",
        "timestamp": 3,
        "sessionID": _SESSION,
        "part": {
            "id": "prt_2",
            "type": "tool",
            "callID": "call_2",
            "tool": "edit",
            "state": {"status": "error", "input": {"filePath": "a.py"}, "error": "oldString not found"},
        },
    },
    {
        "type": "step_finish",
        "timestamp": 4,
        "sessionID": _SESSION,
        "part": {
            "type": "step-finish",
            "reason": "tool-calls",
            "cost": 0.1,
            "tokens": {"input": 10, "output": 5, "reasoning": 1, "cache": {"read": 100, "write": 3}},
        },
    },
    {"type": "an_event_of_tomorrow", "timestamp": 4, "sessionID": _SESSION},
    {"type": "text", "timestamp": 5, "sessionID": _SESSION, "part": {"type": "text", "text": "Done."}},
    {
        "type": "step_finish",
        "timestamp": 6,
        "sessionID": _SESSION,
        "part": {
            "type": "step-finish",
            "reason": "stop",
            "tokens": {"input": 1, "output": 2, "reasoning": 0, "cache": {"read": 0, "write": 0}},
        },
    },
)

AIDER = """\
Aider v0.86.1
Model: openai/gpt-5-mini with whole edit format
Git repo: .git with 3 files
I will mend the sum in ä.py.

ä.py
Applied edit to ä.py
Tokens: 2.3k sent, 1.1k cache hit, 120 received. Cost: $0.0012 message, $0.0012 session.
""".encode()


def lines(*events: object) -> bytes:
    return b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in events)
