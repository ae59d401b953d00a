"""`millwright down`: end the supervisor and every process of the stack, also when the supervisor is dead."""

import signal

from cli.stack.plan import API_STOP, WORKER_STOP
from cli.stack.postgres import STOP_SIGNALS as POSTGRES_STOP
from cli.stack.process import read_record, stop
from cli.stack.state import StateFolder
from cli.stack.temporal import STOP_SIGNALS as TEMPORAL_STOP

SUPERVISOR_STOP = ((signal.SIGTERM, 120.0), (signal.SIGKILL, 5.0))
"""It ends its children first, each in its own time."""
IN_ORDER = {
    "supervisor": SUPERVISOR_STOP,
    "api": API_STOP,
    "worker": WORKER_STOP,
    "migrate": API_STOP,
    "temporal": TEMPORAL_STOP,
    "postgres": POSTGRES_STOP,
}


def take_down(folder: StateFolder) -> list[str]:
    """End what runs; their names. Safe to call when nothing does."""
    ended = [name for name in IN_ORDER if read_record(folder.lock(name))]
    # Twice: a process that the supervisor started in its last moment may not have taken its lock the first time.
    for _ in range(2):
        for name, stop_signals in IN_ORDER.items():
            if record := read_record(folder.lock(name)):
                stop(record, stop_signals)
    folder.stack_file.unlink(missing_ok=True)
    return ended
