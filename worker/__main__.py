"""`python -m worker`: serves runs until it is told to stop, then lets running phases end for a while."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import structlog
import uvloop
from pydantic import ValidationError
from temporalio.client import Client
from temporalio.worker import Worker

from adapters.failpoints import failpoints
from adapters.process import forbid_dumping, leave, settings_problem
from adapters.secrets.redactor import SecretRedactor
from adapters.store.known_runs import PostgresKnownRuns
from adapters.store.relay import PostgresOutbox
from adapters.telemetry import logs, otlp
from adapters.telemetry.endpoint import MetricsEndpoint
from adapters.telemetry.temporal import SdkMetrics, free_port, logging_runtime
from adapters.temporal.client import connect
from adapters.temporal.relay import Relay
from domain.errors import MillwrightError
from worker.background import background
from worker.compose import Composition, compose, worker_name
from worker.janitor import Janitor
from worker.settings import WorkerSettings

USAGE, UNREACHABLE = 2, 3
STAND_BY_SECONDS = 3.0
"""The worker's relay only helps when the API's is away."""
CONNECT_SECONDS = 60.0

log = structlog.get_logger("millwright.worker")


async def serve(settings: WorkerSettings, environment: Mapping[str, str], redactor: SecretRedactor) -> None:
    sdk = SdkMetrics(free_port())
    client = await connect(
        runtime=logging_runtime(metrics_port=sdk.port),
        wait_seconds=CONNECT_SECONDS,
    )
    async with (
        compose(settings, client, environment=environment, redactor=redactor) as composition,
        background(dict(composition.background) | _stand_by(settings, client, composition)),
    ):
        with MetricsEndpoint(
            lambda: composition.metrics.render() + sdk.render(), port=settings.metrics_port
        ) as endpoint:
            await _until_told(composition.worker, composition, endpoint.port, settings)


def _stand_by(
    settings: WorkerSettings, client: Client, composition: Composition
) -> dict[str, Callable[[], Awaitable[None]]]:
    outbox = PostgresOutbox(composition.database)
    relay = Relay(outbox, client, failpoints(settings.failpoints), poll_seconds=STAND_BY_SECONDS)
    return {
        "relay": relay.run,
        "reconciler": composition.reconciler(client).run,
        "janitor": Janitor(composition.workspaces, PostgresKnownRuns(composition.database)).run,
    }


async def _until_told(worker: Worker, composition: Composition, metrics_port: int, settings: WorkerSettings) -> None:
    """SIGTERM or SIGINT: no new work; phases that do not end in time are handed to another worker."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    _spare_the_collector()
    async with worker:
        log.info(
            "ready",
            worker=composition.name,
            phase_slots=settings.phase_slots,
            heartbeat_seconds=settings.heartbeat_seconds,
            metrics_port=metrics_port,
        )
        await told.wait()
        log.info("stopping", drain_seconds=settings.drain_seconds)


def _spare_the_collector() -> None:
    """What was loaded stays for good: it is looked at no more. The rest is looked at less often, since most of what
    a phase makes goes away without the collector (a twelfth of the worker's time, measured)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def main() -> int:
    redactor = SecretRedactor()
    logs.configure("INFO", sys.stderr, redactor)
    try:
        settings = WorkerSettings()
        logs.configure(settings.log_level, sys.stderr, redactor)
    except (ValidationError, ValueError) as error:
        log.error("settings.invalid", problem=settings_problem(error))
        return USAGE
    forbid_dumping()
    redactor.add(urlsplit(settings.database_url).password or "")
    telemetry = otlp.configure(
        settings.otlp_endpoint, redactor, process="worker", instance=worker_name(), version="0.1.0"
    )
    try:
        uvloop.run(serve(settings, dict(os.environ), redactor))
    except MillwrightError as error:
        log.error("worker.unreachable", problem=error.message, hint=error.hint)
        return UNREACHABLE
    finally:
        telemetry.shutdown()
    return 0


if __name__ == "__main__":
    leave(main())
