"""`python -m adapters.providers.scripted_server`: a script behind a real socket, in OpenAI's wire format.

Prints one JSON line when it listens: {"event": "ready", "base_url": "http://127.0.0.1:PORT/v1", "port": PORT}.
"""

import argparse
import asyncio
import json
import socket
import sys
from pathlib import Path

import uvicorn

from adapters.providers.scripted import Scripts
from adapters.providers.scripted_wire import ScriptedWire
from domain.models.messages import CallRefused

_SHIPPED = Path(__file__).resolve().parents[2] / "pipelines" / "scripts"


def main(arguments: list[str] | None = None) -> int:
    """Serves until it is ended; exit code 2 when the script cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m adapters.providers.scripted_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--script", help="name of a shipped script, or absolute path; without it the model names it")
    parser.add_argument("--scripts", type=Path, default=_SHIPPED, help="folder of the scripts that have names")
    asked = parser.parse_args(arguments)
    scripts = Scripts(asked.scripts)
    try:
        if asked.script:
            scripts.get(asked.script)
    except CallRefused as refused:
        print(f"{refused.error.message} {refused.error.hint}", file=sys.stderr)  # noqa: T201 - for the person who typed it
        return 2
    asyncio.run(serve(ScriptedWire(scripts, asked.script), asked.port))
    return 0


async def serve(wire: ScriptedWire, port: int) -> None:
    """Listens on loopback and says where."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            wire.application(), log_config=None, log_level="critical", access_log=False, lifespan="off"
        )
        line = {"event": "ready", "base_url": f"http://127.0.0.1:{port}/v1", "port": port}
        print(json.dumps(line), flush=True)  # noqa: T201 - the line that a starter waits for
        await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    sys.exit(main())
