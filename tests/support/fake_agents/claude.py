"""A fake Claude Code: stream-json out, Anthropic's messages with streaming to the gateway."""

import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from talk import Behaviour, Refused, Sessions, answer_of, events_of, stop, use_tool

TOOLS = [
    {
        "name": "Bash",
        "description": "Runs a command",
        "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
    },
    {
        "name": "Write",
        "description": "Writes a file",
        "input_schema": {
            "type": "object",
            "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}},
            "required": ["file_path", "content"],
        },
    },
]


def ask(model: str, messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Content blocks and usage of one streamed answer."""
    base = os.environ["ANTHROPIC_BASE_URL"]
    headers = {"authorization": f"Bearer {os.environ['ANTHROPIC_AUTH_TOKEN']}", "anthropic-version": "2023-06-01"}
    body = {"model": model, "max_tokens": 4096, "tools": TOOLS, "messages": messages}
    blocks: dict[int, dict[str, Any]] = {}
    partial: dict[int, str] = {}
    usage: dict[str, int] = {}
    for name, data in events_of(f"{base}/v1/messages?beta=true", {**body, "stream": True}, headers):
        if name == "error":
            raise Refused(json.dumps(data))
        if name == "message_start":
            usage.update(data["message"].get("usage") or {})
        elif name == "content_block_start":
            blocks[data["index"]] = dict(data["content_block"])
        elif name == "content_block_delta":
            delta, block = data["delta"], blocks[data["index"]]
            if delta["type"] == "text_delta":
                block["text"] = block.get("text", "") + delta["text"]
            elif delta["type"] == "input_json_delta":
                partial[data["index"]] = partial.get(data["index"], "") + delta["partial_json"]
        elif name == "message_delta":
            usage.update(data.get("usage") or {})
    for index, text in partial.items():
        blocks[index]["input"] = json.loads(text or "{}")
    return [blocks[index] for index in sorted(blocks)], usage


def main() -> None:
    words = sys.argv[1:]
    assert words[0] == "-p" and "--verbose" in words and words[words.index("--output-format") + 1] == "stream-json"
    model = words[words.index("--model") + 1]
    prompt = sys.stdin.read()
    resumed = next((word.partition("=")[2] for word in words if word.startswith("--resume=")), None)
    sessions = Sessions(".claude/projects/x")
    messages = sessions.load(resumed) if resumed else []
    if messages is None:
        stop(f"No conversation found with session ID: {resumed}")
    session = resumed or str(uuid.uuid4())
    behaviour = Behaviour(prompt)
    init = {"type": "system", "subtype": "init", "cwd": str(Path.cwd()), "session_id": session, "model": model}
    behaviour.emit({**init, "tools": ["Bash", "Write"], "mcp_servers": [], "permissionMode": "bypassPermissions"})
    messages.append({"role": "user", "content": prompt})
    headers = {"x-api-key": os.environ["ANTHROPIC_AUTH_TOKEN"]}
    if behaviour.variant == "count":
        counted = {"model": model, "messages": messages}
        answer_of(f"{os.environ['ANTHROPIC_BASE_URL']}/v1/messages/count_tokens", counted, headers)
    spent = {"input_tokens": 0, "output_tokens": 0}
    tools, turns = 0, 0
    while True:
        turns += 1
        try:
            content, usage = ask(model, messages)
        except Refused as refused:
            failed = {"type": "result", "subtype": "success", "is_error": True, "result": f"API Error: {refused}"}
            behaviour.emit({**failed, "session_id": session, "num_turns": turns, "usage": spent}, last=True)
            sys.exit(1)
        for key in spent:
            spent[key] += usage.get(key, 0)
        messages.append({"role": "assistant", "content": content})
        thought = {"type": "thinking", "thinking": "the fake's private thought", "signature": "s"}
        message = {"id": f"msg_{turns}", "type": "message", "role": "assistant", "model": model, "usage": usage}
        behaviour.emit(
            {"type": "assistant", "message": {**message, "content": [thought, *content]}, "session_id": session}
        )
        calls = [block for block in content if block["type"] == "tool_use"]
        results = []
        for call in calls:
            given = call["input"]
            path = {"path": given.get("file_path"), "content": given.get("content")}
            text, code = use_tool("bash", given) if call["name"] == "Bash" else use_tool("write", path)
            result = {"type": "tool_result", "tool_use_id": call["id"], "content": text, "is_error": code != 0}
            results.append(result)
            behaviour.emit({"type": "user", "message": {"role": "user", "content": [result]}, "session_id": session})
            tools += 1
            sessions.save(session, messages)
            behaviour.after_tool(tools)
        word = {"type": "assistant", "message": {"content": [{"type": "text", "text": "word by word"}]}}
        behaviour.flood(word)
        if not calls:
            break
        messages.append({"role": "user", "content": results})
    sessions.save(session, messages)
    said = "".join(block.get("text", "") for block in content)
    done = {"type": "result", "subtype": "success", "is_error": False, "duration_ms": 1, "duration_api_ms": 1}
    claimed = {key: 1000 * value for key, value in spent.items()}  # its own count is off on purpose
    behaviour.emit(
        {**done, "num_turns": turns, "result": said, "session_id": session, "total_cost_usd": 99.0, "usage": claimed},
        last=True,
    )


main()
