"""Row 1: a durable `model` phase against a bare Temporal activity, sequential, in milliseconds per step."""

from functools import partial
from uuid import uuid4

from benchmarks.bare import BARE_QUEUE, UNSANDBOXED_QUEUE, BareWorkflow
from benchmarks.bench import Bench, Figure, model_phases, paired, timed

STEPS = 20
ROUNDS = 15
WARM_UP = 2
BAR = 1.5
PIPELINE = "bench-twenty"


async def measure(bench: Bench) -> list[Figure]:
    await bench.publish(PIPELINE, model_phases(STEPS))
    ours, bare, without = [], [], []
    for number in range(WARM_UP + ROUNDS):
        mine = await timed(partial(bench.run_by_hand, PIPELINE))
        floor = await timed(partial(run_bare, bench, STEPS))
        unsandboxed = await timed(partial(run_bare, bench, STEPS, UNSANDBOXED_QUEUE))
        if number >= WARM_UP:
            ours.append(mine / STEPS * 1000)
            bare.append(floor / STEPS * 1000)
            without.append(unsandboxed / STEPS * 1000)
    bench.check_counts(PIPELINE, runs=WARM_UP + ROUNDS, phases=STEPS)
    mine, floor, ratio = paired(ours, bare)
    _, lower, lower_ratio = paired(ours, without)
    return [
        Figure("1 durable phase", mine, floor, "ms", ratio, f"<= {BAR}x", ratio <= BAR),
        Figure("1 floor without sandbox", mine, lower, "ms", lower_ratio, "reported"),
    ]


async def run_bare(bench: Bench, steps: int, queue: str = BARE_QUEUE) -> None:
    await bench.client.execute_workflow(BareWorkflow.run, steps, id=f"bare-{uuid4()}", task_queue=queue)
