"""The Temporal SDK's Rust core: its log lines forwarded (to the console they would go as plain text), its own metrics
served on a port of its own, to be put beside ours."""

import logging
import socket
from dataclasses import dataclass
from urllib.request import urlopen

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

LOOPBACK = "127.0.0.1"
SCRAPE_SECONDS = 2.0


def logging_runtime(core_level: str = "WARN", *, metrics_port: int | None = None) -> Runtime:
    """For the process's Temporal client (`connect(runtime=...)`), one per process. `core_level` is a level of the
    Rust SDK: TRACE, DEBUG, INFO, WARN or ERROR."""
    forwarding = LogForwardingConfig(logger=logging.getLogger("temporalio.core"), append_target_to_name=False)
    lines = LoggingConfig(filter=TelemetryFilter(core_level=core_level, other_level="ERROR"), forwarding=forwarding)
    metrics = PrometheusConfig(bind_address=f"{LOOPBACK}:{metrics_port}") if metrics_port is not None else None
    return Runtime(telemetry=TelemetryConfig(logging=lines, metrics=metrics))


@dataclass(frozen=True)
class SdkMetrics:
    """The core's own families (requests, polls, slots) as Prometheus text."""

    port: int

    def render(self) -> bytes:
        try:
            with urlopen(f"http://{LOOPBACK}:{self.port}/metrics", timeout=SCRAPE_SECONDS) as answer:
                body: bytes = answer.read()
                return body
        except OSError as error:
            return f"# the Temporal SDK's own metrics could not be read: {error}\n".encode()


def free_port() -> int:
    """The core takes a port by number only and does not say which it took."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
