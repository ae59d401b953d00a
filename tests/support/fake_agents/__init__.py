"""Stand-ins for external agents: real processes that speak the real event formats and really call the gateway.

`install` puts them on a PATH under the names that the worker looks for. What a fake does beside working is asked for
by a mark in its prompt: `[[fake:hang]]`. All of it is standard library, run by any Python.
"""

import shlex
from pathlib import Path

AGENTS = {"claude": "claude.py", "codex": "codex.py", "opencode": "opencode.py", "aider": "aider.py"}


def install(folder: Path, *, python: str = "python3", only: tuple[str, ...] = tuple(AGENTS)) -> Path:
    """Makes `folder` with one executable for each agent."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in only:
        script = Path(__file__).with_name(AGENTS[name])
        file = folder / name
        file.write_text(f'#!/bin/sh\nexec {shlex.quote(python)} {shlex.quote(str(script))} "$@"\n')
        file.chmod(0o755)
    return folder
