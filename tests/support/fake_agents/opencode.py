"""A fake opencode: `run --format json` out, OpenAI's chat completions with streaming to the gateway."""

import json
import os
import sys
import time
import uuid
from typing import Any

from talk import Behaviour, Refused, Sessions, events_of, stop, use_tool


def tool(name: str, **properties: str) -> dict[str, Any]:
    schema = {key: {"type": kind} for key, kind in properties.items()}
    parameters = {"type": "object", "properties": schema, "required": list(schema)}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


TOOLS = [tool("bash", command="string"), tool("write", path="string", content="string")]


def ask(
    options: dict[str, str], model: str, messages: list[dict[str, Any]]
) -> tuple[str, list[dict[str, Any]], dict[str, Any], str]:
    variable = options["apiKey"].removeprefix("{env:").removesuffix("}")
    headers = {"authorization": f"Bearer {os.environ[variable]}"}
    body = {"model": model, "messages": messages, "tools": TOOLS, "stream": True}
    text, reason = "", "stop"
    usage: dict[str, Any] = {}
    calls: dict[int, dict[str, Any]] = {}
    url = f"{options['baseURL']}/chat/completions"
    for _, data in events_of(url, {**body, "stream_options": {"include_usage": True}}, headers):
        if "error" in data:
            raise Refused(json.dumps(data))
        usage = data.get("usage") or usage
        for choice in data.get("choices", []):
            delta = choice.get("delta", {})
            text += delta.get("content") or ""
            for piece in delta.get("tool_calls") or []:
                call = calls.setdefault(piece.get("index", 0), {"id": "", "name": "", "arguments": ""})
                call["id"] = piece.get("id") or call["id"]
                call["name"] += piece.get("function", {}).get("name") or ""
                call["arguments"] += piece.get("function", {}).get("arguments") or ""
            reason = choice.get("finish_reason") or reason
    return text, [calls[index] for index in sorted(calls)], usage, reason


def main() -> None:
    words = sys.argv[1:]
    assert words[:3] == ["run", "--format", "json"]
    model = words[words.index("--model") + 1]
    config = json.loads(os.environ["OPENCODE_CONFIG_CONTENT"])
    options = config["provider"][model.partition("/")[0]]["options"]
    prompt = sys.stdin.read()
    resumed = words[words.index("--session") + 1] if "--session" in words else None
    sessions = Sessions(".local/share/opencode")
    messages = sessions.load(resumed) if resumed else []
    if messages is None:
        stop("Error: Session not found")
    session = resumed or f"ses_{uuid.uuid4().hex[:24]}"
    behaviour = Behaviour(prompt)

    def emit(kind: str, last: bool = False, **data: Any) -> None:
        behaviour.emit({"type": kind, "timestamp": int(time.time() * 1000), "sessionID": session, **data}, last=last)

    messages.append({"role": "user", "content": prompt})
    tools = 0
    while True:
        emit("step_start", part={"type": "step-start"})
        try:
            text, calls, usage, reason = ask(options, model.partition("/")[2], messages)
        except Refused as refused:
            emit("error", last=True, error={"name": "APIError", "data": {"message": str(refused)}})
            sys.exit(1)
        sent = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
            for call in calls
        ]
        messages.append({"role": "assistant", "content": text, **({"tool_calls": sent} if sent else {})})
        if text:
            emit("text", part={"type": "text", "text": text, "time": {"start": 1, "end": 2}})
        for call in calls:
            given = json.loads(call["arguments"] or "{}")
            output, code = use_tool(call["name"], given)
            title = given.get("command") or given.get("path")
            state = {
                "status": "completed",
                "input": given,
                "title": title,
                "output": output,
                "metadata": {"exit": code},
            }
            emit("tool_use", part={"type": "tool", "callID": call["id"], "tool": call["name"], "state": state})
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": output})
            tools += 1
            sessions.save(session, messages)
            behaviour.after_tool(tools)
        counted = {"input": usage.get("prompt_tokens", 0), "output": usage.get("completion_tokens", 0)}
        tokens = {**counted, "reasoning": 0, "cache": {"read": 0, "write": 0}}
        reason = "tool-calls" if calls else "stop"
        part = {"type": "step-finish", "reason": reason, "tokens": tokens, "cost": 0}
        emit("step_finish", last=not calls, part=part)
        if not calls:
            break
    sessions.save(session, messages)


main()
