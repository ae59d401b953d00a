"""What the stack consists of: ports, addresses, environments and order of its processes."""

import hashlib
import http.client
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM

from cli.stack import log_files
from cli.stack.credentials import keep_credentials, read_credentials
from cli.stack.ports import LOOPBACK, Reservations
from cli.stack.postgres import Postgres
from cli.stack.process import Record, Service, read_record
from cli.stack.settings import StackSettings
from cli.stack.state import StateFolder, read_status
from cli.stack.supervisor import Step
from cli.stack.temporal import TemporalServer
from cli.stack.temporal_binary import TemporalBinary
from domain.models.policy import ProviderKind

READ_FOR_READY_BYTES = 1_000_000
WORKER_STOP = ((SIGTERM, 30.0), (SIGKILL, 5.0))
"""Longer than the worker's own drain time, after which it ends by itself."""
PORT_OWNER = {"postgres": "postgres", "temporal": "temporal", "temporal-ui": "temporal", "api": "api"}
"""Port -> the process that listens on it."""
API_STOP = ((SIGTERM, 10.0), (SIGKILL, 5.0))


@dataclass(frozen=True)
class Ports:
    """Given out once and kept as long as the process that has one lives; `moved` are those that were taken."""

    chosen: Mapping[str, int]
    moved: Mapping[str, int]
    reservations: Reservations

    def __getitem__(self, name: str) -> int:
        return self.chosen[name]


def choose_ports(settings: StackSettings, folder: StateFolder) -> Ports:
    """The usual ports, or the next free ones. A live process of ours keeps its own."""
    usual = {
        "postgres": settings.postgres_port,
        "temporal": settings.temporal_port,
        "temporal-ui": settings.temporal_ui_port,
        "api": settings.api_port,
    }
    before = read_status(folder)
    kept = before.ports if before else {}
    chosen = {name: port for name, port in kept.items() if read_record(folder.lock(PORT_OWNER[name]))}
    reservations = Reservations()
    for port in chosen.values():
        reservations.hold(port)
    for name in usual:
        if name not in chosen:
            chosen[name] = reservations.first_free(usual[name])
    return Ports(chosen, {name: usual[name] for name in usual if chosen[name] != usual[name]}, reservations)


@dataclass(frozen=True)
class Plan:
    """The steps in the order in which they start, and the addresses that people and processes need."""

    steps: list[Step]
    api_url: str
    temporal_address: str
    temporal_ui_url: str | None
    ports: Ports


def make_plan(settings: StackSettings, folder: StateFolder, binary: TemporalBinary | None) -> Plan:
    """`binary` None: TEMPORAL_ADDRESS names a server of the user's own."""
    ports = choose_ports(settings, folder)
    steps: list[Step] = []
    database_url, admin_url = settings.database_url, settings.admin_database_url
    data: Path | None = None
    if database_url is None:
        postgres = Postgres(
            folder.postgres, ports["postgres"], log=folder.log("postgres"), lock=folder.lock("postgres")
        )
        postgres.prepare()
        database_url, admin_url, data = postgres.app_url(), postgres.admin_url(), postgres.data
        steps.append(
            Step(
                service=postgres.service(),
                ready=lambda record: postgres.answers(),
                ports=(postgres.port,),
                address=f"{LOOPBACK}:{postgres.port}",
                prepare=postgres.prepare,
            )
        )
    temporal_address, ui_url = settings.temporal_address, None
    if temporal_address is None:
        assert binary is not None, "a local Temporal server needs its program"
        temporal = TemporalServer(
            binary=binary.path,
            port=ports["temporal"],
            ui_port=ports["temporal-ui"],
            folder=folder.path,
            database=folder.temporal_database,
            lock=folder.lock("temporal"),
            log=folder.log("temporal"),
        )
        temporal_address, ui_url = temporal.address, f"http://{LOOPBACK}:{ports['temporal-ui']}"
        steps.append(
            Step(
                service=temporal.service(),
                ready=lambda record: temporal.answers(),
                ports=(temporal.port, ports["temporal-ui"]),
                address=temporal_address,
            )
        )
    reached_at = LOOPBACK if settings.api_host in ("0.0.0.0", "::") else settings.api_host
    api_url = f"http://{reached_at}:{ports['api']}"
    ours = {
        "DATABASE_URL": database_url,
        "TEMPORAL_ADDRESS": temporal_address,
        "MILLWRIGHT_STATE_DIR": str(folder.path),
        "MILLWRIGHT_API_HOST": settings.api_host,
        "MILLWRIGHT_API_PORT": str(ports["api"]),
        **({"MILLWRIGHT_TEMPORAL_UI_URL": ui_url} if ui_url else {}),
        **({"MILLWRIGHT_POSTGRES_DATA_DIR": str(data)} if data else {}),
    }
    parts = _Parts(settings, folder, ours, frozenset(step.name for step in steps))
    if admin_url:
        steps.append(parts.migrations(admin_url, api_url))
    everything = frozenset(step.name for step in steps)
    steps.append(parts.worker(everything))
    steps.append(parts.api(everything, reached_at, ports["api"]))
    return Plan(steps, api_url, temporal_address, ui_url, ports)


@dataclass(frozen=True)
class _Parts:
    """Our own processes. `ours` is the environment that the stack decides, `servers` what they stand on."""

    settings: StackSettings
    folder: StateFolder
    ours: Mapping[str, str]
    servers: frozenset[str]

    def migrations(self, admin_url: str, api_url: str) -> Step:
        command = ["-m", "adapters.store", "migrate"]
        if self.settings.database_url is None and "api_key" not in read_credentials(self.folder):
            command.append("--reissue")  # it was made and lost; in a database of the user's own others may hold it
        for name in PROVIDERS_OF_ENVIRONMENT:
            command += provider_arguments(name, self.settings.everything())
        service = self._service("migrate", command, extra={"MILLWRIGHT_ADMIN_DATABASE_URL": admin_url})
        return Step(
            service=service,
            ready=lambda record: False,
            after=self.servers & {"postgres"},
            once=True,
            finished=lambda text: keep_credentials(self.folder, api_url, text),
        )

    def worker(self, after: frozenset[str]) -> Step:
        service = self._service("worker", ["-m", "worker"], worker=True, stop_signals=WORKER_STOP)
        return Step(service=service, ready=_said_ready(service.log), after=after)

    def api(self, after: frozenset[str], host: str, port: int) -> Step:
        service = self._service("api", ["-m", "api"], stop_signals=API_STOP)
        return Step(
            service=service,
            ready=lambda record: answers_health(host, port),
            after=after,
            ports=(port,),
            address=f"http://{host}:{port}",
        )

    def _service(
        self,
        name: str,
        command: list[str],
        *,
        worker: bool = False,
        extra: Mapping[str, str] | None = None,
        stop_signals: tuple[tuple[int, float], ...] = API_STOP,
    ) -> Service:
        decided = {**self.ours, **(extra or {})}
        return Service(
            name=name,
            argv=[sys.executable, "-P", *command],
            env={**self.settings.inherited(worker=worker), **decided},
            cwd=self.folder.path,
            lock=self.folder.lock(name),
            log=self.folder.log(name),
            fingerprint=fingerprint(decided),
            stop_signals=stop_signals,
        )


PROVIDERS_OF_ENVIRONMENT = ("openai", "anthropic")
"""Those whose key in the environment of `up` is enough."""


def provider_arguments(name: str, environment: Mapping[str, str]) -> list[str]:
    """Of `adapters.store migrate`, so that the organization may use a provider whose key the environment holds; none
    without the key. A provider that the policy knows already, also one switched off, stays as it is; it only follows
    an endpoint that the environment names."""
    prefix = name.upper().replace("-", "_")
    if not environment.get(f"{prefix}_API_KEY"):
        return []
    asked = ["--provider", name, "--provider-credential", f"env:{prefix}_API_KEY"]
    if name == ProviderKind.ANTHROPIC:
        asked += ["--provider-kind", ProviderKind.ANTHROPIC.value]
    url = environment.get(f"{prefix}_BASE_URL")
    return [*asked, "--provider-url", url] if url else asked


def fingerprint(decided: Mapping[str, str]) -> str:
    """Changes when an address or password that the process was started with is no longer true."""
    return hashlib.sha256(json.dumps(sorted(decided.items())).encode()).hexdigest()[:16]


def answers_health(host: str, port: int) -> bool:
    """Whether GET /healthz says 200."""
    connection = http.client.HTTPConnection(host, port, timeout=3)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _said_ready(log: Path) -> Callable[[Record], bool]:
    def ready(record: Record) -> bool:
        if log_files.size(log) < record.log_offset:
            return True  # the log was cut since: it has been up for long
        text = log_files.read_from(log, record.log_offset, READ_FOR_READY_BYTES)
        return any(_is_ready_line(line) for line in text.splitlines())

    return ready


def _is_ready_line(line: str) -> bool:
    try:
        parsed = json.loads(line)
    except ValueError:
        return False
    return isinstance(parsed, dict) and parsed.get("event") == "ready"
