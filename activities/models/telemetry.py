"""What a model call tells: a span with GenAI attributes, one JSON log line, metrics with bounded labels."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import structlog
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from activities.models.answer import Answer
from domain.models.admission import Admitted
from domain.models.messages import CallTimes, ModelRequest

log = structlog.get_logger("millwright.call")


class CallMetrics(Protocol):
    """Bounded labels only; satisfied by adapters.telemetry."""

    def call_finished(
        self,
        *,
        provider: str,
        error_kind: str | None,
        times: CallTimes,
        tokens_in: int | None,
        tokens_out: int | None,
        cost_usd: float | None,
    ) -> None: ...


class ToldCall:
    """Telemetry of one call, told when it ended."""

    def __init__(self, metrics: CallMetrics, span: Span, admitted: Admitted, request: ModelRequest) -> None:
        self._metrics = metrics
        self._span = span
        self._admitted = admitted
        self._request = request

    def ended(self, answer: Answer, times: CallTimes) -> None:
        reply = answer.reply
        usage = reply.usage if reply else None
        kind = answer.error.kind.value if answer.error else None
        tokens_in, tokens_out = (usage.tokens_in, usage.tokens_out) if usage else (None, None)
        cost = None if answer.cost_usd is None else float(answer.cost_usd)
        if self._span.is_recording():
            self._attributes(answer, kind)
        asyncio.get_running_loop().call_soon(self._tell, times, kind, tokens_in, tokens_out, cost)

    def _tell(
        self, times: CallTimes, kind: str | None, tokens_in: int | None, tokens_out: int | None, cost: float | None
    ) -> None:
        """While the record is written: nobody waits for it."""
        log.info(
            "call.finished",
            provider=self._admitted.provider.name,
            model=self._request.model,
            role=self._request.role,
            turn=self._request.turn,
            error_kind=kind,
            duration_ms=round(times.wall_seconds * 1000, 2),
            api_ms=round(times.api_seconds * 1000, 2),
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            cost_usd=cost,
        )
        self._metrics.call_finished(
            provider=self._admitted.provider.name,
            error_kind=kind,
            times=times,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            cost_usd=cost,
        )

    def _attributes(self, answer: Answer, kind: str | None) -> None:
        if kind is not None:
            self._span.set_attribute("error.type", kind)
            self._span.set_status(Status(StatusCode.ERROR, kind))
        if answer.reply is None:
            return
        found = {
            "gen_ai.response.model": answer.reply.model_answered,
            "gen_ai.response.id": answer.reply.provider_response_id,
            "gen_ai.usage.input_tokens": answer.reply.usage.tokens_in,
            "gen_ai.usage.output_tokens": answer.reply.usage.tokens_out,
            "gen_ai.usage.cache_read.input_tokens": answer.reply.usage.tokens_cached,
        }
        self._span.set_attributes({name: value for name, value in found.items() if value is not None})


class CallTelemetry:
    def __init__(self, metrics: CallMetrics) -> None:
        self._tracer = trace.get_tracer("millwright")
        self._metrics = metrics

    @contextmanager
    def call(self, admitted: Admitted, request: ModelRequest) -> Iterator[ToldCall]:
        attributes: dict[str, str | int] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": admitted.provider.name,
            "gen_ai.request.model": request.model,
            "gen_ai.request.max_tokens": request.max_output_tokens,
            "millwright.role": request.role,
        }
        with self._tracer.start_as_current_span(
            f"chat {request.model}", kind=SpanKind.CLIENT, attributes=attributes
        ) as span:
            yield ToldCall(self._metrics, span, admitted, request)
