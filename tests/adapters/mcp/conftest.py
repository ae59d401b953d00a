"""Real servers: commands under the real sandbox, and the SDK's own over real sockets."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import uvicorn

from adapters.mcp.boxes import McpToolBox, McpToolBoxes
from adapters.sandbox import proctree
from adapters.sandbox.guarded import GuardedSandbox
from adapters.secrets.redactor import SecretRedactor
from adapters.secrets.references import SecretResolver
from domain.agents.tools import McpServer, ToolPlace

HERE = Path(__file__).parent / "servers"
SEARCH_PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def sdk(name: str = "tester", **fields: Any) -> McpServer:
    return McpServer(name=name, command=(sys.executable, str(HERE / "sdk_server.py")), **fields)


def raw(mode: str, *words: str, name: str = "raw") -> McpServer:
    return McpServer(name=name, command=(sys.executable, "-S", str(HERE / "raw_server.py"), mode, *words))


@dataclass
class Place:
    """A worktree, the environment of a worker, and boxes opened there."""

    worktree: Path
    environment: dict[str, str] = field(default_factory=dict)
    redactor: SecretRedactor = field(default_factory=SecretRedactor)
    token: str = field(default_factory=lambda: str(uuid4()))

    def boxes(self, start_seconds: float = 60.0) -> McpToolBoxes:
        return McpToolBoxes(
            sandbox=GuardedSandbox(self.redactor, search_path=SEARCH_PATH),
            secrets=SecretResolver(self.environment, self.redactor),
            redactor=self.redactor,
            start_seconds=start_seconds,
        )

    @asynccontextmanager
    async def box(
        self, *servers: McpServer, limit_seconds: float = 60.0, start_seconds: float = 60.0, **env: str
    ) -> AsyncIterator[McpToolBox]:
        place = ToolPlace(
            org_id=uuid4(),
            run_id=uuid4(),
            worktree=self.worktree,
            env={"BENCH": self.token, **env},
            time_limit_seconds=limit_seconds,
            servers=servers,
        )
        async with self.boxes(start_seconds).open(place) as box:
            yield box

    def living(self) -> list[int]:
        """Processes that any server of this place started, by the environment that they inherited."""
        return [process.pid for process in proctree.marked(f"BENCH={self.token}")]

    async def none_is_left(self) -> None:
        for _ in range(1500):
            if not self.living():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"still living: {self.living()}")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    return Place(worktree)


Application = Callable[[Mapping[str, Any], Any, Any], Any]


@asynccontextmanager
async def listening(application: Any) -> AsyncIterator[str]:
    """An ASGI application on a real socket; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        server = uvicorn.Server(uvicorn.Config(application, log_config=None, timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve(sockets=[opened]))
        try:
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{opened.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
