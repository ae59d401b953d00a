"""A telemetry collector that only counts what it gets (OTLP over HTTP): so that spans and metrics are really sent."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


class Collector(BaseHTTPRequestHandler):
    received: ClassVar[dict[str, int]] = {}

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.received[self.path] = self.received.get(self.path, 0) + 1
        self._answer(b"")

    def do_GET(self) -> None:
        """How many posts came in all."""
        self._answer(str(sum(self.received.values())).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
