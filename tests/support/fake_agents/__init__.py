"""Stand-ins for external agents: real processes that speak the real event formats and really call the gateway.

`install` puts them on a PATH under the names that the worker looks for. What a fake does beside working is asked for
by a mark in its prompt: `[[fake:hang]]`. All of it is standard library, run by any Python.
"""

import shutil
from pathlib import Path

AGENTS = {"claude": "claude.py", "codex": "codex.py", "opencode": "opencode.py", "aider": "aider.py"}
HERE = Path(__file__).parent


def install(folder: Path) -> Path:
    """Makes `folder` with one executable for each agent, and all that they need: a sandbox shows no more than that."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = folder / "parts"
    parts.mkdir()
    for source in ("talk.py", *AGENTS.values()):
        shutil.copy(HERE / source, parts)
    for name, script in AGENTS.items():
        file = folder / name
        file.write_text(f'#!/bin/sh\nexec python3 "${{0%/*}}/parts/{script}" "$@"\n')
        file.chmod(0o755)
    return folder
