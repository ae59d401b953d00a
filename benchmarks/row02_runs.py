"""Row 2: three-phase runs per second against bare three-activity workflows; through POST /runs reported apart."""

import asyncio
import time
from functools import partial

import httpx

from benchmarks.bare import UNSANDBOXED_QUEUE
from benchmarks.bench import Bench, Figure, bounded, model_phases, paired, timed
from benchmarks.row01_phase import run_bare

PHASES = 3
RUNS = 60
AT_ONCE = 8
"""As many as there are executor permits by default: nothing waits."""
ROUNDS = 5
BAR = 0.7
PIPELINE = "bench-three"


async def measure(bench: Bench) -> list[Figure]:
    await bench.publish(PIPELINE, model_phases(PHASES))
    await bounded(AT_ONCE, AT_ONCE, partial(bench.run_by_hand, PIPELINE))
    await bounded(AT_ONCE, AT_ONCE, partial(run_bare, bench, PHASES))
    ours, posted, bare, without = [], [], [], []
    for _ in range(ROUNDS):
        ours.append(RUNS / await timed(lambda: bounded(RUNS, AT_ONCE, partial(bench.run_by_hand, PIPELINE))))
        bare.append(RUNS / await timed(lambda: bounded(RUNS, AT_ONCE, partial(run_bare, bench, PHASES))))
        without.append(
            RUNS / await timed(lambda: bounded(RUNS, AT_ONCE, partial(run_bare, bench, PHASES, UNSANDBOXED_QUEUE)))
        )
        posted.append(RUNS / await timed(partial(_post_and_wait, bench)))
    bench.check_counts(PIPELINE, runs=AT_ONCE + 2 * ROUNDS * RUNS, phases=PHASES)
    mine, floor, ratio = paired(ours, bare)
    _, higher, lower_ratio = paired(ours, without)
    through_post, post_floor, post_ratio = paired(posted, bare)
    return [
        Figure("2 three-phase runs", mine, floor, "runs/s", ratio, f">= {BAR}x", ratio >= BAR),
        Figure("2 floor without sandbox", mine, higher, "runs/s", lower_ratio, "reported"),
        Figure("2 through POST /runs", through_post, post_floor, "runs/s", post_ratio, "reported"),
    ]


async def _post_and_wait(bench: Bench) -> None:
    """At most so many runs at once; a run has ended when its row says so."""
    finished = "run WHERE finished_at IS NOT NULL"
    before, ended, deadline = bench.count(finished), 0, time.monotonic() + 300

    async def post(api: httpx.AsyncClient) -> None:
        answer = await api.post("/runs", json=bench.input(PIPELINE))
        assert answer.status_code == 202, answer.text

    async with bench.stack.api() as api, asyncio.TaskGroup() as posts:
        posted = 0
        while ended < RUNS:
            assert time.monotonic() < deadline, "runs do not end"
            for _ in range(min(AT_ONCE - (posted - ended), RUNS - posted)):
                posts.create_task(post(api))
                posted += 1
            await asyncio.sleep(0.02)
            ended = await asyncio.to_thread(bench.count, finished) - before
