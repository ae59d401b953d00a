"""`Run`: one pipeline on one task. Asks domain what is next, runs one activity per phase, ends with an outcome."""

import asyncio

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from domain.runs.decide import Finish, RunPhase, decide
    from domain.runs.ids import (
        ATTEMPTS_QUERY,
        CANCEL_SIGNAL,
        CANCEL_UPDATE,
        REQUEST_SIGNAL,
        RUN_WORKFLOW,
        STATE_QUERY,
    )
    from domain.runs.messages import RunSummary
    from domain.runs.outcome import Outcome, headline
    from domain.runs.requests import CancelRequest, RunAttempts, RunEntry, RunProgress
    from domain.runs.run_ledger import OpenedRun, RecordedRequest
    from domain.runs.state import RunState
    from domain.runs.words import OutcomeKind, RequestStatus, RunStatus

from workflows.phases import result_of, start_phase
from workflows.records import Records
from workflows.run_input import read, refusal

NOTHING = RawValue(Payload())
"""Stands for the missing input of `temporal workflow start` without --input."""


@workflow.defn(name=RUN_WORKFLOW)
class RunWorkflow:
    def __init__(self) -> None:
        self._state: RunState | None = None
        self._phase: str | None = None
        self._cancel_signals: list[RawValue] = []
        """Of direct callers, not yet recorded."""
        self._asked = False
        """Requests may be pending in the record."""
        self._natively_cancelled = False
        """Asked by Temporal's own cancel; recorded like any other cancel."""
        self._native_cancel_recorded = False

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> RunSummary:
        """The body runs as a task of its own, so that a native cancel is a fact to act on, not an exception in
        the middle of whatever is awaited."""
        body = asyncio.create_task(self._body(raw))
        while True:
            try:
                summary = await asyncio.shield(body)
                break
            except asyncio.CancelledError:
                if body.done():
                    raise
                self._natively_cancelled = True
        if self._natively_cancelled and summary.outcome is OutcomeKind.CANCELLED:
            raise asyncio.CancelledError(summary.message)
        return summary

    async def _body(self, raw: RawValue) -> RunSummary:
        entry = read(raw, RunEntry, "The start of Run")
        self._state = entry.state
        if self._state is None:
            opened = await Records.open(entry.start)
            if opened.state is None:
                return _not_opened(entry, opened)
            self._state = opened.state
        while True:
            await self._settle_requests()
            match decide(self._running, workflow.now().timestamp()):
                case RunPhase() as next_phase:
                    await self._run_phase(next_phase)
                case Finish(outcome=outcome):
                    await Records.finalise(self._running, outcome)
                    await self._settle_requests()
                    await workflow.wait_condition(workflow.all_handlers_finished)
                    return self._summary(outcome)
            if workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                await self._settle_requests()
                workflow.continue_as_new(RunEntry(org=str(self._running.org_id), state=self._state))

    async def _run_phase(self, decision: RunPhase) -> None:
        key = decision.key
        handle = start_phase(self._running, decision)
        self._phase = f"{key.phase} #{key.iteration}" if key.iteration else key.phase
        while not handle.done():
            await workflow.wait_condition(lambda: handle.done() or self._unsettled)
            await self._settle_requests()
            if self._running.cancel_requested and not handle.done():
                handle.cancel()
                await workflow.wait_condition(handle.done)
        self._phase = None
        self._state = self._running.after(key, decision.cause, result_of(handle))

    async def _settle_requests(self) -> None:
        """Records what came straight through Temporal, then applies what is pending."""
        while self._unsettled:
            state = self._running
            if self._natively_cancelled and not self._native_cancel_recorded:
                self._native_cancel_recorded = True
                await Records.request_cancel(state, "Asked by Temporal's own cancel.")
                self._state = self._running.cancelled()
            while self._cancel_signals:
                await Records.record_cancel_signal(state, self._cancel_signals.pop(0))
                self._asked = True
            if self._asked:
                self._asked = False
                applied = await Records.apply_requests(state)
                if applied.cancel:
                    self._state = self._running.cancelled()

    @property
    def _running(self) -> RunState:
        assert self._state is not None
        return self._state

    @property
    def _unsettled(self) -> bool:
        native = self._natively_cancelled and not self._native_cancel_recorded
        return native or self._asked or bool(self._cancel_signals)

    def _summary(self, outcome: Outcome) -> RunSummary:
        """Temporal's status mirrors ours: a run that failed is a failed workflow."""
        message = headline(outcome)
        if outcome.status is RunStatus.FAILED:
            raise refusal(message, kind=str(outcome))
        return RunSummary(
            run_id=self._running.run_id,
            outcome=outcome.kind,
            detail=outcome.detail,
            message=message,
            iterations=self._running.iterations,
        )

    @workflow.signal(name=REQUEST_SIGNAL)
    def on_request(self, raw: RawValue) -> None:
        """From the relay: something is in the record. The id is not needed: all that is pending is applied."""
        self._asked = True

    @workflow.signal(name=CANCEL_SIGNAL)
    def on_cancel_signal(self, raw: RawValue) -> None:
        self._cancel_signals.append(raw)

    @workflow.update(name=CANCEL_UPDATE)
    async def on_cancel_update(self, raw: RawValue) -> RecordedRequest:
        asked = read(raw, CancelRequest, "The cancel update")
        await workflow.wait_condition(lambda: self._state is not None)
        recorded = await Records.record_cancel(self._running, asked)
        self._asked = recorded.status is not RequestStatus.REFUSED
        return recorded

    @workflow.query(name=STATE_QUERY)
    def progress(self) -> RunProgress:
        state = self._state
        return RunProgress(
            run_id=str(state.run_id) if state else None,
            phase=self._phase,
            iteration=state.iterations if state else 0,
            cancel_requested=state.cancel_requested if state else False,
            attempts=len(state.attempts) if state else 0,
            tokens=state.tokens if state else 0,
        )

    @workflow.query(name=ATTEMPTS_QUERY)
    def attempts(self) -> RunAttempts:
        return RunAttempts(attempts=self._state.attempts if self._state else ())


def _not_opened(entry: RunEntry, opened: OpenedRun) -> RunSummary:
    """A request that came too late started this workflow anew: the run has its end, and this one has nothing to do.
    Any other refusal is bad input and ends it as that."""
    refused = opened.refused
    assert refused is not None, "a run that is not opened says why"
    if entry.run_id is None:
        raise refusal(f"{refused.message} {refused.hint}".strip())
    return RunSummary(run_id=entry.run_id, message=refused.message)
