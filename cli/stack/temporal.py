"""The local Temporal server: `temporal server start-dev` on a file, with the settings that were measured.

Stock settings cost 105 ms a step; these 15 ms on the same machine.
"""

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.stack.ports import LOOPBACK, accepts
from cli.stack.process import ALREADY_RUNNING, Service, last_lines, launch, read_record, stop
from domain.errors import Unavailable

NAMESPACE = "default"
RETENTION = "30d"
"""A closed workflow can be looked at in Temporal's own page for a month; the record outlives it."""
STOP_SIGNALS = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))

DYNAMIC_CONFIG = {
    # The queues are polled when there is something to do, not 20 times a second.
    "history.transferProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxPollRPS": "2000",
    "history.visibilityProcessorMaxPollRPS": "500",
    # The worker gets its next activity in the answer to the workflow task.
    "system.enableActivityEagerExecution": "true",
    # One partition: no search among four of them for a task on a quiet queue.
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    # Organizations share the queue fairly; off by default in the server.
    "matching.enableFairness": "true",
    # Timers under a second are kept, not rounded up to one.
    "history.timerProcessorMaxTimeShift": '"20ms"',
}
SQLITE_PRAGMAS = {"journal_mode": "WAL", "synchronous": "NORMAL"}


@dataclass(frozen=True)
class TemporalServer:
    """One server. `database` None keeps everything in memory; `ui_port` None leaves the web page out."""

    binary: Path
    port: int
    folder: Path
    database: Path | None = None
    ui_port: int | None = None
    metrics_port: int | None = None
    log: Path | None = None
    lock: Path | None = None
    extra_dynamic_config: Mapping[str, str] | None = None

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def service(self) -> Service:
        argv = [str(self.binary), "server", "start-dev", "--ip", LOOPBACK, "--port", str(self.port)]
        argv += ["--log-format", "json", "--log-level", "warn"]
        if self.ui_port is None:
            argv.append("--headless")
        else:
            argv += ["--ui-port", str(self.ui_port), "--ui-disable-news-fetch"]
        if self.metrics_port is not None:
            argv += ["--metrics-port", str(self.metrics_port)]
        for name, value in (DYNAMIC_CONFIG | dict(self.extra_dynamic_config or {})).items():
            argv += ["--dynamic-config-value", f"{name}={value}"]
        if self.database is not None:
            argv += ["--db-filename", str(self.database)]
            for name, value in SQLITE_PRAGMAS.items():
                argv += ["--sqlite-pragma", f"{name}={value}"]
        return Service(
            name="temporal",
            argv=argv,
            env=self._environment(),
            cwd=self.folder,
            lock=self.lock or self.folder / "temporal.lock",
            log=self.log or self.folder / "temporal.log",
            private=True,
            fingerprint=f"temporal:{self.port}:{self.ui_port}",
            stop_signals=STOP_SIGNALS,
        )

    def answers(self) -> bool:
        """Whether the namespace is there; its retention is set by the same call."""
        if not accepts(self.port):
            return False
        update = [str(self.binary), "operator", "namespace", "update", "-n", NAMESPACE, "--retention", RETENTION]
        update += ["--address", self.address, "--command-timeout", "5s", "-o", "none"]
        try:
            done = subprocess.run(update, env=self._environment(), capture_output=True, timeout=10, check=False)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def start(self, *, tethered: bool = False, timeout_seconds: float = 60) -> None:
        """Start the server and return when its namespace answers; nothing is done when it runs already."""
        service = self.service()
        if read_record(service.lock) is None:
            process = launch(service, tethered=tethered)
            deadline = time.monotonic() + timeout_seconds
            while not self.answers():
                if process.poll() not in (None, ALREADY_RUNNING) or time.monotonic() > deadline:
                    log = "\n".join(last_lines(service.log))
                    raise Unavailable(f"Temporal did not start at {self.address}:\n{log}", hint=f"see {service.log}")
                time.sleep(0.05)

    def stop(self) -> None:
        if record := read_record(self.service().lock):
            stop(record, STOP_SIGNALS)

    @contextmanager
    def running(self, *, tethered: bool = True) -> Iterator["TemporalServer"]:
        self.start(tethered=tethered)
        try:
            yield self
        finally:
            self.stop()

    def _environment(self) -> dict[str, str]:
        # HOME: its configuration file would be read from there. TEMPORAL_*: not inherited, on purpose.
        return {"HOME": str(self.folder), "PATH": "/usr/bin:/bin", "TZ": "UTC"}
