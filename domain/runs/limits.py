"""The limits that hold for one run: the caller's over the pipeline's, field by field."""

from decimal import Decimal

from domain.base import Frozen
from domain.pipelines.spec import DEFAULT_TIME_SECONDS, Limits


class RunLimits(Frozen):
    """What a run may use in all. Time always has a bound; None elsewhere is no limit."""

    tokens: int | None
    cost_usd: Decimal | None
    time_seconds: float


def run_limits(pipeline: Limits, settings: Limits | None) -> RunLimits:
    """A field that the caller leaves out (None) is the pipeline's."""
    over = settings or Limits()
    return RunLimits(
        tokens=pipeline.tokens if over.tokens is None else over.tokens,
        cost_usd=pipeline.cost_usd if over.cost_usd is None else over.cost_usd,
        time_seconds=over.time_seconds or pipeline.time_seconds or DEFAULT_TIME_SECONDS,
    )
