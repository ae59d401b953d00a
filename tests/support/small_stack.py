"""A supervisor over small processes of its own: `python -m tests.support.small_stack FOLDER [WORD]`.

`first` becomes ready when its file is there, `second` waits for it, `task` runs once. WORD stands for an address that
they were started with: another WORD, another fingerprint.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

from cli.stack.process import Service
from cli.stack.state import ProcessStatus, write_atomically
from cli.stack.supervisor import Step, Supervisor

SLEEPER = "import time, pathlib, sys; pathlib.Path(sys.argv[1]).write_text('up'); time.sleep(600)"
PRINTER = "print('done')"


def service(folder: Path, name: str, code: str, *arguments: str, word: str = "") -> Service:
    return Service(
        name=name,
        argv=[sys.executable, "-I", "-c", code, *arguments],
        env={"PATH": "/usr/bin:/bin"},
        cwd=folder,
        lock=folder / f"{name}.lock",
        log=folder / f"{name}.log",
        fingerprint=word,
        stop_signals=((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)),
    )


def sleeper(folder: Path, name: str, *, after: frozenset[str] = frozenset(), word: str = "") -> Step:
    flag = folder / f"{name}.up"
    return Step(
        service=service(folder, name, SLEEPER, str(flag), word=word),
        ready=lambda record: flag.exists(),
        prepare=lambda: flag.unlink(missing_ok=True),
        after=after,
    )


def steps(folder: Path, word: str = "") -> list[Step]:
    task = Step(
        service=service(folder, "task", PRINTER, word=word),
        ready=lambda record: False,
        once=True,
        after=frozenset({"first"}),
        finished=lambda text: write_atomically(folder / "task.finished", text),
    )
    return [
        sleeper(folder, "first", word=word),
        task,
        sleeper(folder, "second", after=frozenset({"first", "task"}), word=word),
    ]


def status(folder: Path) -> dict[str, ProcessStatus]:
    """What the supervisor wrote last."""
    try:
        parsed = json.loads((folder / "status.json").read_text())
    except FileNotFoundError:
        return {}
    return {name: ProcessStatus.model_validate(value) for name, value in parsed.items()}


async def main(folder: Path, word: str) -> None:
    def write(processes: dict[str, ProcessStatus]) -> None:
        text = json.dumps({name: process.model_dump() for name, process in processes.items()})
        write_atomically(folder / "status.json", text)

    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await Supervisor(steps(folder, word), write).run(stopping)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), "".join(sys.argv[2:])))
