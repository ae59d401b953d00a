"""The relay: delivers recorded requests until Temporal has them, each at least once, applied once.

A start goes as `start` that rejects duplicates ("already started" is delivered). Everything else goes as
signal-with-start to the same workflow id, so that it reaches a live run, a run that has ended, and one whose
start is still on its way alike. Any number of relays may run: rows are claimed under a lease.
"""

import asyncio

import structlog
from temporalio.client import Client
from temporalio.common import Priority, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from domain.errors import Unavailable
from domain.failpoints import Failpoints, Point
from domain.runs.delivery import Delivery, Outbox
from domain.runs.ids import REQUEST_SIGNAL, RUN_WORKFLOW, TASK_QUEUE
from domain.runs.messages import RunStart
from domain.runs.words import RequestKind

BATCH = 32
CLAIM_SECONDS = 15.0
"""A relay that dies between claim and delivery hides the row for this long."""

log = structlog.get_logger(__name__)


class Relay:
    def __init__(self, outbox: Outbox, client: Client, failpoints: Failpoints, *, poll_seconds: float = 0.5) -> None:
        self._outbox = outbox
        self._client = client
        self._failpoints = failpoints
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something was recorded in this process: deliver it now."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled. A database or Temporal that is away is waited for."""
        while True:
            self._woken.clear()
            try:
                busy = await self.deliver_due()
            except Unavailable as error:
                log.warning("relay.waiting", error=str(error))
                busy = False
            if not busy:
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def deliver_due(self) -> bool:
        """One batch; True when there may be more."""
        deliveries = await self._outbox.claim(limit=BATCH, lease_seconds=CLAIM_SECONDS)
        await asyncio.gather(*(self._deliver(delivery) for delivery in deliveries))
        return bool(deliveries)

    async def _deliver(self, delivery: Delivery) -> None:
        self._failpoints.hit(Point.REQUEST_AFTER_RECORD)
        try:
            await self._send(delivery)
        except RPCError as error:
            log.warning("relay.not_sent", run=str(delivery.run_id), request=str(delivery.request_id), error=str(error))
            await self._outbox.failed(delivery, f"Temporal refused or did not answer: {error.message}")
            return
        self._failpoints.hit(Point.RELAY_AFTER_SEND)
        await self._outbox.sent(delivery)
        log.info("relay.sent", run=str(delivery.run_id), request=str(delivery.request_id), kind=delivery.kind)

    async def _send(self, delivery: Delivery) -> None:
        start = RunStart(org=str(delivery.org_id), run_id=delivery.run_id)
        priority = Priority(priority_key=delivery.priority, fairness_key=str(delivery.org_id))
        if delivery.kind is RequestKind.START:
            try:
                await self._client.start_workflow(
                    RUN_WORKFLOW,
                    start,
                    id=delivery.workflow_id,
                    task_queue=TASK_QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    priority=priority,
                )
            except WorkflowAlreadyStartedError:
                log.info("relay.already_started", run=str(delivery.run_id))
            return
        await self._client.start_workflow(
            RUN_WORKFLOW,
            start,
            id=delivery.workflow_id,
            task_queue=TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            start_signal=REQUEST_SIGNAL,
            start_signal_args=[str(delivery.request_id)],
            priority=priority,
        )
