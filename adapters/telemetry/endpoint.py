"""The worker's own port, on loopback: GET /metrics and GET /healthz, from a thread of its own.

A thread, so that it answers also while the event loop is busy: a scrape that fails must mean a dead process.
"""

import hmac
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType

from adapters.telemetry.metrics import CONTENT_TYPE


class MetricsEndpoint(AbstractContextManager["MetricsEndpoint"]):
    """Serves from `__enter__` to `__exit__`. `port` 0 takes a free one; `token` None lets everyone on this host read
    (otherwise `Authorization: Bearer <token>` is asked for on /metrics). Raises OSError when the port is taken."""

    def __init__(self, render: Callable[[], bytes], *, port: int = 0, token: str | None = None) -> None:
        self._server = _Server(port, render, token)
        self._thread = Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_port

    def __enter__(self) -> "MetricsEndpoint":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, render: Callable[[], bytes], token: str | None) -> None:
        super().__init__(("127.0.0.1", port), _Request)
        self.render = render
        self.token = token


class _Request(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10.0
    """Seconds for a client to send its request."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._answer(200, b'{"status": "ok"}\n', "application/json")
        elif path != "/metrics":
            self._answer(404, b"There are /metrics and /healthz here.\n", "text/plain")
        elif not self._may_read():
            self._answer(401, b"Send Authorization: Bearer <token>.\n", "text/plain")
        else:
            self._answer(200, self.server.render(), CONTENT_TYPE)

    def _may_read(self) -> bool:
        if self.server.token is None:
            return True
        sent = self.headers.get("authorization", "")
        return hmac.compare_digest(sent.encode(), f"Bearer {self.server.token}".encode())

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """A scrape is no event."""
