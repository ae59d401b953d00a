"""The world outside of an agent's kill test: a model over a real socket, and a service whose effects are counted."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from fastapi import Request, Response

from adapters.providers.scripted import Scripts
from adapters.providers.scripted_wire import ScriptedWire


@dataclass
class Outside:
    base_url: str
    asked: int = 0
    """Requests for an answer of the model."""
    effects: Counter[str] = field(default_factory=Counter)
    """By the name that the caller gave."""

    @property
    def effect_url(self) -> str:
        return self.base_url.removesuffix("/v1") + "/effect"


@asynccontextmanager
async def outside() -> AsyncIterator[Outside]:
    app = ScriptedWire(Scripts(Path("/nonexistent"))).application()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Outside(f"http://127.0.0.1:{listening.getsockname()[1]}/v1")

        async def count(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
            made.asked += request.url.path.endswith("/chat/completions")
            return await call_next(request)

        async def effect(name: str) -> dict[str, str]:
            made.effects[name] += 1
            return {"done": name}

        app.middleware("http")(count)
        app.add_api_route("/effect/{name:path}", effect, methods=["POST"])
        config = uvicorn.Config(app, log_config=None, log_level="critical", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)
        try:
            yield made
        finally:
            server.should_exit = True
            await serving
