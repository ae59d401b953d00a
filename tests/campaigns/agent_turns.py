"""The thirty turns of an agent in the kill test: every tool, parallel calls, a log that shows what was done twice."""

from pathlib import Path
from typing import Any

import yaml

TURNS = 30
UNSAFE_TURNS = (9, 18, 27)
FILES = {"README.md": "A repository.\n", "log.txt": "", "src/main.py": "print('hello')\n"}
CURL = "python3 -c \"import sys, urllib.request as r; r.urlopen(r.Request(sys.argv[1], method='POST')).read()\""


def write_script(path: Path, *, effect_url: str | None, delay_seconds: float) -> None:
    """`effect_url`: commands reach outside, and say so to that address with the run's id and the turn."""
    turns = [{**_turn(number, effect_url), "delay_seconds": delay_seconds} for number in range(1, TURNS)]
    turns.append({"tool_calls": [{"name": "finish", "arguments": {"summary": "all thirty"}}]})
    document = {"usage": {"tokens_in": 100, "tokens_out": 10}, "replies": [{"role": "coder", "turns": turns}]}
    path.write_text(yaml.safe_dump(document))


def pipeline(*, unsafe: bool) -> dict[str, Any]:
    phase = {
        "name": "implement",
        "kind": "agent",
        "prompt": "{{ task.change }}",
        "max_turns": TURNS + 5,
        "max_executions": 100,
        "unsafe_tools": ["run_command"] if unsafe else [],
    }
    return {"phases": [phase]}


def _turn(number: int, effect_url: str | None) -> dict[str, Any]:
    log = _call("run_command", command=f"echo turn {number} >> log.txt")
    if effect_url is not None:
        if number in UNSAFE_TURNS:
            told = f'{CURL} {effect_url}/$(basename "$PWD")/{number} && echo turn {number} >> log.txt'
            return {"tool_calls": [_call("read_file", path="log.txt"), _call("run_command", command=told)]}
        log = _call("write_file", path="notes.txt", text=f"turn {number}\n")
    match number % 4:
        case 0:
            return {"tool_calls": [_call("write_file", path=f"src/part{number % 8}.py", text=f"n = {number}\n"), log]}
        case 1:
            return {"text": f"I look, turn {number}.", "tool_calls": [_call("search", pattern="turn"), log]}
        case 2:
            patch = f"--- /dev/null\n+++ b/new/{number}.txt\n@@ -0,0 +1 @@\n+made in turn {number}\n"
            return {"tool_calls": [_call("apply_patch", patch=patch)]}
    return {"tool_calls": [log, {"name": "read_file", "raw": '{"path": '}]}


def _call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}
