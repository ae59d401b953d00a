"""What is kept and shown of a command's output, and what a flood costs."""

import asyncio
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sandbox.cleaning import Cleaner, LineTail
from adapters.sandbox.output import BATCH_CHARACTERS, OutputWindow
from tests.adapters.sandbox.conftest import Bench, PlainRedactor


async def test_any_bytes_become_text_that_postgresql_takes(bench: Bench) -> None:
    result = await bench.run(r"printf 'a\000b\377c\007\033[31mred\033[0m\033[2J\302\205\n'")
    assert result.output == "a␀b\ufffdc␇\x1b[31mred\x1b[0m␛[2J\ufffd\n"
    assert result.tail == "a␀b\ufffdc␇red␛[2J\ufffd"


async def test_output_is_live(bench: Bench) -> None:
    running = asyncio.create_task(bench.run("echo early; sleep 1000"))
    await bench.until(lambda: bench.heard == "early\n")
    bench.stop_reason = "seen"
    await running


async def test_output_comes_in_batches(bench: Bench) -> None:
    result = await bench.run("seq 30000")
    assert bench.heard == result.output == "".join(f"{n}\n" for n in range(1, 30001))
    assert max(map(len, bench.live)) <= BATCH_CHARACTERS
    assert len(bench.live) <= 40  # 170 KB in batches of 32 KB, and some for the clock


async def test_head_and_tail_of_a_flood(bench: Bench) -> None:
    result = await bench.run("seq -w 1000000", head_bytes=700, tail_bytes=70)
    head = "".join(f"{n:07}\n" for n in range(1, 89))[:700]
    tail = "".join(f"{n:07}\n" for n in range(1000001 - 9, 1000001))[-70:]
    assert result.left_out_bytes == 8_000_000 - 770
    assert result.output == f"{head}\n[… 7,999,230 bytes left out …]\n{tail}"
    assert result.tail == "\n".join(f"{n:07}" for n in range(999996, 1000001))


FLOOD = """
import asyncio, json, resource, sys, time
from pathlib import Path
from adapters.sandbox.guarded import GuardedSandbox
from domain.sandbox.ports import Command, shell
from tests.adapters.sandbox.conftest import PlainRedactor

async def main():
    sandbox = GuardedSandbox(PlainRedactor(), search_path=sys.argv[1])
    heard = 0
    async def note(text):
        nonlocal heard
        heard += len(text)
    worst = 0.0
    async def pulse():
        nonlocal worst
        while True:
            asked = time.monotonic()
            await asyncio.sleep(0.01)
            worst = max(worst, time.monotonic() - asked)
    async def run(megabytes):
        script = f"head -c {megabytes * 1000000} /dev/zero | tr '\\\\0' x"
        command = Command(argv=shell(script), cwd=Path(sys.argv[3]), time_limit_seconds=600, stall_seconds=60)
        return await sandbox.run(command, on_output=note, should_stop=lambda: None)
    await run(2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    heard = 0
    pulsing = asyncio.create_task(pulse())
    result = await run(int(sys.argv[2]))
    print(json.dumps({"grown_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, "heard": heard,
                      "left_out": result.left_out_bytes, "worst_pulse": worst, "seconds": result.run_seconds}))

asyncio.run(main())
"""


def flood(path: str, megabytes: int, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", FLOOD, path, str(megabytes), str(folder)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[3], timeout=150,
    )  # fmt: skip
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def test_a_flood_leaves_memory_flat_and_the_event_loop_alive(tmp_path: Path) -> None:
    measured = flood("/usr/bin:/bin", 200, tmp_path)
    assert measured["left_out"] == 200_000_000 - 512 * 1024
    assert measured["heard"] < 530_000
    assert measured["grown_kb"] < 8_000
    assert measured["worst_pulse"] < 1.0  # a few milliseconds on an idle machine


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_cleaning_does_not_depend_on_chunks(data: bytes, cuts: list[int]) -> None:
    data = data.replace(b"\x01", b"\x1b[1m").replace(b"\x02", "é😀".encode())
    whole, pieces = Cleaner(), Cleaner()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    text = "".join(pieces.feed(data[a:b]) for a, b in itertools.pairwise(edges)) + pieces.feed(b"", final=True)
    assert text == whole.feed(data, final=True)
    assert "\x00" not in text
    text.encode()


@given(st.text(alphabet="ab\n\r", max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_last_lines_do_not_depend_on_chunks(text: str, cuts: list[int]) -> None:
    tail = LineTail(lines=3)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    for a, b in itertools.pairwise(edges):
        tail.feed(text[a:b])
    lines = text.split("\n")
    lines = lines if lines[-1] else lines[:-1]
    assert tail.text == "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines[-3:])


def test_last_lines_are_bounded() -> None:
    tail = LineTail()
    for _ in range(1000):
        tail.feed("x" * 1000)
    assert len(tail.text) <= 401
    assert sum(map(len, [tail._open, *tail._done])) < 10_000


@pytest.mark.parametrize("size", [0, 1, 50, 100, 101, 149, 150, 151, 400])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_head_and_tail_meet_without_a_gap_or_a_repeat(size: int, step: int) -> None:
    data = bytes(33 + n % 90 for n in range(size))
    window = OutputWindow(PlainRedactor(), head_bytes=100, tail_bytes=50)
    shown: list[str] = []
    for at in range(0, size, step):
        window.add(data[at : at + step])
        shown += window.take_live()
    shown += window.finish()
    assert "".join(shown) == window.text
    left_out = max(0, size - 150)
    assert window.left_out_bytes == left_out
    text = data.decode()
    assert window.text == (f"{text[:100]}\n[… {left_out} bytes left out …]\n{text[-50:]}" if left_out else text)


def test_small_reads_stay_cheap() -> None:
    window = OutputWindow(PlainRedactor(), head_bytes=1000, tail_bytes=1000)
    began = time.process_time()
    for _ in range(200_000):
        window.add(b"x")
    assert time.process_time() - began < 5.0
    window.finish()
    assert window.left_out_bytes == 198_000
