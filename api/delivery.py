"""Relay and reconciler beside the routes: they wait for Temporal without holding up a page."""

import asyncio

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

from adapters.temporal.client import connect
from adapters.temporal.probe import problem_at_work
from adapters.temporal.reconciler import Reconciler
from adapters.temporal.relay import Relay
from domain.errors import Unavailable
from domain.failpoints import Failpoints
from domain.runs.delivery import OpenRuns, Outbox
from domain.runs.run_ledger import RunLedger

log = structlog.get_logger("api")

CONNECT_PATIENCE_SECONDS = 30.0


class Delivery:
    """`run` is a background task; `wake` and `check` may be called before Temporal is there."""

    def __init__(self, outbox: Outbox, open_runs: OpenRuns, ledger: RunLedger, failpoints: Failpoints) -> None:
        self._outbox = outbox
        self._open_runs = open_runs
        self._ledger = ledger
        self._failpoints = failpoints
        self._client: Client | None = None
        self._relay: Relay | None = None

    async def run(self) -> None:
        while self._client is None:
            try:
                self._client = await connect(wait_seconds=CONNECT_PATIENCE_SECONDS)
            except Unavailable as error:
                log.warning("temporal_unavailable", error=error.message)
        self._relay = Relay(self._outbox, self._client, self._failpoints)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._relay.run())
            group.create_task(Reconciler(self._open_runs, self._ledger, self._client).run())

    def wake(self) -> None:
        if self._relay is not None:
            self._relay.wake()

    async def check(self) -> None:
        """Raises Unavailable."""
        hint = "Start it (`millwright up`), or correct TEMPORAL_ADDRESS. Requests are recorded meanwhile, none is lost."
        if self._client is None:
            raise Unavailable("Temporal does not answer yet.", hint=hint)
        if not await _is_serving(self._client):
            raise Unavailable("Temporal does not answer.", hint=hint)
        if problem := await problem_at_work(self._client):
            raise Unavailable(
                f"Temporal answers, but cannot work: {problem}.",
                hint="Its database is away, or cannot be written (a full disk?); `millwright doctor` looks. "
                "Requests are recorded meanwhile, none is lost, and runs go on by themselves.",
            )


async def _is_serving(client: Client) -> bool:
    try:
        return await client.service_client.check_health()
    except (RPCError, RuntimeError):
        return False
