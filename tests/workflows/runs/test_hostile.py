"""Commands that mean harm as phases of runs: each ends with its kind and an excerpt, and the worker goes on.

Bounded by themselves, and only where the sandbox holds (tests/adapters/sandbox/test_hostile.py).
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.sandbox import means
from cli.stack.temporal import TemporalServer
from tests.support.databases import Database
from tests.workflows.world import World, world

BOUNDED = "import os, signal, time\nsignal.alarm(60)\n"
BURST = """
made = refused = 0
for _ in range(2000):
    try:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        made += 1
    except BlockingIOError:
        refused += 1
print(made, "made,", refused, "refused", flush=True)
time.sleep(1)
raise SystemExit(1)
"""
GROWING = """
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
with open("big", "wb", buffering=0) as file:
    for _ in range(64):
        file.write(b"x" * 1024 * 1024)
"""
HOLDING = """
kept = []
for _ in range(100):
    kept.append(bytearray(b"x") * (10 * 1024 * 1024))
    time.sleep(0.02)
time.sleep(30)
"""
HANGING = """
print("last words", flush=True)
os.closerange(0, 100)
time.sleep(50)
"""


@pytest.fixture
async def holding(database: Database, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[World]:
    if means.find("auto", "/usr/bin:/bin").bubblewrap is None:
        pytest.skip("bubblewrap is not on PATH, or may not make namespaces here")
    async with world(
        database,
        temporal_server.address,
        tmp_path,
        MILLWRIGHT_SANDBOX="bubblewrap",
        MILLWRIGHT_COMMAND_PROCESSES=200,
        MILLWRIGHT_COMMAND_FILE_MB=2,
        MILLWRIGHT_COMMAND_MEMORY_MB=200,
    ) as made:
        yield made


@pytest.mark.parametrize(
    ("code", "kind", "named"),
    [
        (BURST, "command_failed", "It ran as many processes and threads as it may (200)."),
        (GROWING, "command_failed", "It wrote a file up to the size that it may have (2 MB)."),
        (HOLDING, "command_failed", "Its processes together held more memory than they may (200 MB)."),
        (HANGING, "stalled", "last words"),
    ],
    ids=["burst", "growing", "holding", "hanging"],
)
async def test_the_phase_ends_with_its_kind_and_what_it_reached(
    holding: World, code: str, kind: str, named: str
) -> None:
    repo = str(holding.repository({"harm.py": BOUNDED + code}))
    phase = {"name": "harm", "kind": "command", "command": "python3 harm.py", "stall_seconds": 3}
    run = await holding.run(await holding.publish({"phases": [phase]}), repo=repo)
    assert (run["outcome_kind"], run["error"]["kind"]) == ("phase_error", kind), run["error"]
    assert named in run["error"]["excerpt"]
    ended = await holding.row("SELECT error, summary FROM attempt WHERE run_id = %s", run["id"])
    assert ended is not None and named in ended["summary"]
    after = {"phases": [{"name": "well", "kind": "command", "command": "cat harm.py"}]}
    assert (await holding.run(await holding.publish(after), repo=repo))["status"] == "SUCCEEDED"
