"""ModelCalls as production wires it, over a real database; small real classes stand for what lies outside of it."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from time import monotonic
from uuid import UUID

from activities.models.calls import ModelCalls
from adapters.providers.prices import GenaiPrices
from adapters.store.calls import PostgresCallLedger
from adapters.store.database import Database as Record
from adapters.store.database import Pool
from domain.artifacts.ports import ArtifactStore
from domain.errors import NotFound, Unavailable
from domain.failpoints import Point
from domain.models.messages import CallTimes, Message, Speaker
from domain.models.policy import ProviderKind
from domain.models.ports import CallLedger, ModelProvider
from domain.redaction import Redactor, StreamRedactor

PLANTED = "sk-planted-value-0123456789"
"""A secret that must be found nowhere."""


def question(text: str = "go") -> tuple[Message, ...]:
    return (Message(speaker=Speaker.USER, text=text),)


class MemoryArtifacts:
    """ArtifactStore of one test; `full` refuses writes as a full disk does."""

    def __init__(self) -> None:
        self.bodies: dict[tuple[UUID, str], bytes] = {}
        self.full = False

    async def put(self, org_id: UUID, body: bytes) -> str:
        if self.full:
            raise Unavailable("the disk is full", hint="make room")
        digest = sha256(body).hexdigest()
        self.bodies[org_id, digest] = body
        return digest

    async def get(self, org_id: UUID, sha256: str, *, start: int = 0, length: int | None = None) -> bytes:
        try:
            body = self.bodies[org_id, sha256]
        except KeyError:
            raise NotFound(f"There is no artifact {sha256}.") from None
        return body[start:] if length is None else body[start : start + length]

    async def stream(self, org_id: UUID, sha256: str) -> AsyncIterator[bytes]:
        yield await self.get(org_id, sha256)


class PlantedRedactor:
    """Redactor that knows one secret."""

    def redact(self, text: str) -> str:
        return text.replace(PLANTED, "[redacted]")

    def redact_known(self, text: str) -> str:
        return self.redact(text)

    def stream(self) -> StreamRedactor:
        raise NotImplementedError("model calls redact whole texts")


@dataclass
class Counted:
    """CallMetrics that keeps what it was told."""

    calls: list[tuple[str, str | None, CallTimes]] = field(default_factory=list)

    def call_finished(
        self,
        *,
        provider: str,
        error_kind: str | None,
        times: CallTimes,
        tokens_in: int | None,
        tokens_out: int | None,
        cost_usd: float | None,
    ) -> None:
        self.calls.append((provider, error_kind, times))


@dataclass
class Points:
    """Failpoints that keep the order in which they were passed."""

    hits: list[Point] = field(default_factory=list)

    def hit(self, point: Point) -> None:
        self.hits.append(point)


@dataclass
class Calling:
    calls: ModelCalls
    ledger: CallLedger
    artifacts: MemoryArtifacts
    metrics: Counted
    points: Points


def calling(
    pool: Pool,
    providers: Mapping[ProviderKind, ModelProvider],
    *,
    ledger: CallLedger | None = None,
    redactor: Redactor | None = None,
    clock: Callable[[], float] = monotonic,
) -> Calling:
    artifacts, metrics, points = MemoryArtifacts(), Counted(), Points()
    store: ArtifactStore = artifacts
    the_ledger = ledger or PostgresCallLedger(Record(pool), worker="test")
    calls = ModelCalls(
        ledger=the_ledger,
        providers=providers,
        artifacts=store,
        redactor=redactor or PlantedRedactor(),
        prices=GenaiPrices(),
        metrics=metrics,
        failpoints=points,
        clock=clock,
    )
    return Calling(calls, the_ledger, artifacts, metrics, points)
