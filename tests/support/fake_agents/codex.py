"""A fake Codex: `exec --json` out, OpenAI's responses with streaming to the gateway."""

import json
import os
import sys
import tomllib
import uuid
from typing import Any

from talk import Behaviour, Refused, Sessions, events_of, stop, use_tool


def tool(name: str, **properties: str) -> dict[str, Any]:
    schema = {key: {"type": kind} for key, kind in properties.items()}
    parameters = {"type": "object", "properties": schema, "required": list(schema)}
    return {"type": "function", "name": name, "description": name, "parameters": parameters, "strict": False}


TOOLS = [tool("shell", command="string"), tool("write_file", path="string", content="string")]


def ask(settings: dict[str, Any], items: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    provider = settings["model_providers"][settings["model_provider"]]
    assert provider["wire_api"] == "responses"
    body = {"model": settings["model"], "input": items, "tools": TOOLS, "stream": True, "store": False}
    headers = {"authorization": f"Bearer {os.environ[provider['env_key']]}"}
    output: list[dict[str, Any]] = []
    usage: dict[str, Any] = {}
    for name, data in events_of(f"{provider['base_url']}/responses", body, headers):
        kind = data.get("type", name)
        if kind == "response.output_item.done":
            output.append(data["item"])
        elif kind == "response.completed":
            usage = data["response"].get("usage") or {}
        elif kind in ("response.failed", "error"):
            raise Refused(json.dumps(data))
    return output, usage


def main() -> None:
    words = sys.argv[1:]
    assert words[:2] == ["exec", "--json"] and words[-1] == "-"
    settings = tomllib.loads("\n".join(words[at + 1] for at, word in enumerate(words) if word == "-c"))
    assert settings["approval_policy"] == "never"
    prompt = sys.stdin.read()
    resumed = words[words.index("resume") + 1] if "resume" in words else None
    sessions = Sessions(".codex/sessions")
    items = sessions.load(resumed) if resumed else []
    if items is None:
        stop(f"Error: no rollout found for conversation id {resumed}")
    thread = resumed or str(uuid.uuid4())
    behaviour = Behaviour(prompt)
    behaviour.emit({"type": "thread.started", "thread_id": thread})
    behaviour.emit({"type": "turn.started"})
    items.append({"type": "message", "role": "user", "content": [{"type": "input_text", "text": prompt}]})
    number, tools = 0, 0
    spent = {"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0}
    while True:
        try:
            output, usage = ask(settings, items)
        except Refused as refused:
            behaviour.emit({"type": "error", "message": f"unexpected status {refused}"})
            behaviour.emit({"type": "turn.failed", "error": {"message": f"unexpected status {refused}"}}, last=True)
            sys.exit(1)
        for key in ("input_tokens", "output_tokens"):
            spent[key] += usage.get(key, 0)
        items += output
        calls = [item for item in output if item["type"] == "function_call"]
        for item in output:
            if item["type"] == "message":
                text = "".join(part.get("text", "") for part in item["content"])
                told = {"id": f"item_{number}", "type": "agent_message", "text": text}
                behaviour.emit({"type": "item.completed", "item": told})
                number += 1
        for call in calls:
            given = json.loads(call["arguments"] or "{}")
            if call["name"] == "shell":
                told = {"id": f"item_{number}", "type": "command_execution", "command": given.get("command", "")}
                begun = {**told, "aggregated_output": "", "exit_code": None, "status": "in_progress"}
                behaviour.emit({"type": "item.started", "item": begun})
                text, code = use_tool("bash", given)
                status = "completed" if code == 0 else "failed"
                ended = {**told, "aggregated_output": text, "exit_code": code, "status": status}
            else:
                text, code = use_tool("write", given)
                changes = [{"path": given.get("path"), "kind": "update"}]
                ended = {"id": f"item_{number}", "type": "file_change", "changes": changes, "status": "completed"}
            behaviour.emit({"type": "item.completed", "item": ended})
            items.append({"type": "function_call_output", "call_id": call["call_id"], "output": text})
            number += 1
            tools += 1
            sessions.save(thread, items)
            behaviour.after_tool(tools)
        if not calls:
            break
    sessions.save(thread, items)
    behaviour.emit({"type": "turn.completed", "usage": spent}, last=True)


main()
