"""`python -m api`: reads the settings, serves until SIGTERM or SIGINT, lets go of event streams first."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import structlog
import uvicorn
from pydantic import ValidationError

from adapters.process import forbid_dumping, leave, settings_problem
from adapters.secrets.redactor import SecretRedactor
from adapters.telemetry import logs, otlp
from api.app import create_app
from api.settings import ApiSettings
from api.wiring import wired

USAGE, UNREACHABLE = 2, 3
GRACE_SECONDS = 10
"""After SIGTERM open requests have this long; event streams end at once."""
BACKLOG = 2048

log = structlog.get_logger("millwright.api")


class Server(uvicorn.Server):
    """Says when it serves, and tells the streams to end before it waits for connections."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's own, but the signal is not raised again: spans are still to be sent, and the end is 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets and not self.should_exit:
            host, port = sockets[0].getsockname()[:2]
            log.info("ready", host=host, port=port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)


async def serve(settings: ApiSettings, listening: socket.socket) -> None:
    async with wired(settings) as deps:
        config = uvicorn.Config(
            create_app(deps),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="on",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        await Server(config, deps.stream.stopping).serve([listening])


def listen(host: str, port: int) -> socket.socket:
    """Raises OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    listening.set_inheritable(False)
    return listening


def main() -> int:
    redactor = SecretRedactor()
    logs.configure("INFO", sys.stderr, redactor)
    try:
        settings = ApiSettings()
        logs.configure(settings.log_level, sys.stderr, redactor)
    except (ValidationError, ValueError) as error:
        log.error("settings.invalid", problem=settings_problem(error))
        return USAGE
    forbid_dumping()
    redactor.add(urlsplit(settings.database_url).password or "")
    telemetry = otlp.configure(
        settings.otlp_endpoint,
        redactor,
        process="api",
        instance=f"{socket.gethostname()}:{os.getpid()}",
        version="0.1.0",
    )
    try:
        listening = listen(settings.host, settings.port)
    except OSError as error:
        hint = "Set MILLWRIGHT_API_PORT to a free port."
        log.error("port.taken", host=settings.host, port=settings.port, problem=str(error), hint=hint)
        return UNREACHABLE
    try:
        asyncio.run(serve(settings, listening))
    finally:
        telemetry.shutdown()
    return 0


if __name__ == "__main__":
    leave(main())
