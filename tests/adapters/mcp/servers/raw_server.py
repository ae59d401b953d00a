"""A server by hand, of the protocol's 2025 versions, that misbehaves as its first argument says.

Standard library only, so that it starts at once. `python raw_server.py <mode> [<file that counts its starts>]`
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

MODE = sys.argv[1]
if len(sys.argv) > 2:
    with Path(sys.argv[2]).open("a") as counted:
        counted.write("started\n")
TOOL = {"name": "ask", "description": "Asks.", "inputSchema": {"type": "object", "properties": {}}}
TOOLS: list[dict[str, Any]] = [TOOL]


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def raw(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def hang() -> None:
    time.sleep(3600)


def flood(line: str) -> None:
    while True:
        raw(line * 200)


def initialize(number: Any) -> None:
    if MODE == "hang-at-start":
        hang()
    if MODE == "die-at-start":
        print("cannot find my database", file=sys.stderr, flush=True)
        sys.exit(7)
    if MODE == "garbage-at-start":
        raw('{"jsonrpc": "2.0", "id": 1, "result": {{{\n')
        hang()
    if MODE == "banner":
        raw("Welcome to the server!\n" + json.dumps({"level": "info", "message": "ready"}) + "\n\n")
    version = "1987-01-01" if MODE == "unknown-version" else "2025-06-18"
    say({"id": number, "result": {"protocolVersion": version, "capabilities": {"tools": {"listChanged": True}},
                                  "serverInfo": {"name": "raw", "version": "1"}}})  # fmt: skip


def listed(number: Any, params: dict[str, Any]) -> None:
    if MODE == "hang-at-list":
        hang()
    if MODE == "list-without-end":
        page = int(params.get("cursor", "0"))
        tools = [{**TOOL, "name": f"ask-{page}"}]
        say({"id": number, "result": {"tools": tools, "nextCursor": str(page + 1)}})
        return
    if MODE == "list-refused":
        say({"id": number, "error": {"code": -32603, "message": "no tools today"}})
        return
    if MODE == "list-is-no-list":
        say({"id": number, "result": {"tools": "none"}})
        return
    say({"id": number, "result": {"tools": TOOLS}})


def call(number: Any, params: dict[str, Any]) -> None:
    if MODE == "hang-in-call":
        hang()
    if MODE == "die-in-call":
        print("out of memory", file=sys.stderr, flush=True)
        sys.exit(9)
    if MODE == "garbage-in-call":
        raw('{"jsonrpc": "2.0", "id": 1, "result": {"content": [}\n')
        hang()
    if MODE == "no-result-in-call":
        say({"id": number, "result": {"content": "not a list"}})
        return
    if MODE == "flood-of-notices":
        flood(json.dumps({"jsonrpc": "2.0", "method": "notifications/message",
                          "params": {"level": "info", "data": "y" * 500}}) + "\n")  # fmt: skip
    if MODE == "flood-of-requests":
        flood(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}) + "\n")
    if MODE == "flood-of-text":
        flood("la" * 500 + "\n")
    if MODE == "line-without-end":
        flood("la" * 500)
    if MODE == "deaf":
        for _ in range(100):
            say({"id": f"s{_}", "method": "ping"})
        hang()
    if MODE == "tools-change":
        TOOLS[:] = [{**TOOL, "name": "answer"}]
        say({"method": "notifications/tools/list_changed"})
        time.sleep(0.2)
    if MODE == "tool-is-gone":
        say({"id": number, "error": {"code": -32602, "message": f"Unknown tool: {params['name']}"}})
        TOOLS[:] = []
        return
    say({"id": number, "result": {"content": [{"type": "text", "text": f"{params['name']} answers"}]}})


for line in sys.stdin:
    message = json.loads(line)
    match message.get("method"):
        case "initialize":
            initialize(message["id"])
        case "tools/list":
            if MODE == "tools":
                TOOLS[:] = json.loads(sys.argv[3])
            listed(message["id"], message.get("params") or {})
        case "tools/call":
            call(message["id"], message["params"])
        case "server/discover" if MODE == "ends-at-the-probe":
            sys.exit(4)
        case str() if "id" in message:
            say({"id": message["id"], "error": {"code": -32601, "message": "Method not found"}})
        case _:
            pass
