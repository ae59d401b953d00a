"""The worker's end of one guard: start it, hear its reports, read the command's output, order the tree's end."""

import asyncio
import contextlib
import fcntl
import marshal
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapters.sandbox import ending, guard, proctree

READ_BYTES = 256 * 1024
DRAIN_SECONDS = 1.0
"""How long the rest of the output is waited for once the tree is dead; only a survivor could hold the pipe open."""
GUARD_SECONDS = ending.KILL_SECONDS + 5.0
"""From the order to end the tree until the guard itself is taken for dead."""
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", None)
_ROOT = Path(__file__).resolve().parents[2]
_START = f"import sys; sys.path.append({str(_ROOT)!r}); from adapters.sandbox.guard import main; main()"


class GuardProcess:
    """One guard and its command. After `listen` has returned, no process of the tree lives."""

    def __init__(self, mark: str, on_data: Callable[[bytes], None], on_cpu: Callable[[float], None]) -> None:
        self.decided = asyncio.Event()
        """Set when the command runs, or never will."""
        self.mark = mark
        self._on_data = on_data
        self._on_cpu = on_cpu
        self._process: asyncio.subprocess.Process | None = None
        self._output = -1
        self._output_closed = asyncio.Event()
        self.command_pid: int | None = None
        self.refused: str | None = None
        """Why the command was not started."""
        self.end: dict[str, Any] | None = None
        """The guard's account; None with `lost`."""
        self.lost: str | None = None
        """Guard or watcher were killed, or said nothing; the tree was ended all the same."""

    async def start(self, request: Mapping[str, Any], pipes: tuple[int, ...] = ()) -> None:
        """`pipes`: standard input and output of the command, where it has them apart; they stay the caller's. Raises
        OSError when not even the guard can be started."""
        self._output, command_side = os.pipe()
        try:
            if _F_SETPIPE_SZ is not None:
                with contextlib.suppress(OSError):  # a user's pipe memory is limited; the default size works too
                    fcntl.fcntl(self._output, _F_SETPIPE_SZ, READ_BYTES)
            os.set_blocking(self._output, False)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", "-c", _START, *map(str, (command_side, *pipes)),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                pass_fds=(command_side, *pipes), env={}, cwd="/", start_new_session=True,
            )  # fmt: skip
        except BaseException:
            os.close(self._output)
            raise
        finally:
            os.close(command_side)
        asyncio.get_running_loop().add_reader(self._output, self._read)
        self._write(guard.message(dict(request)))

    def _read(self) -> None:
        try:
            data = os.read(self._output, READ_BYTES)
        except BlockingIOError:
            return
        if data:
            self._on_data(data)
        else:
            self._close_output()

    def _close_output(self) -> None:
        if not self._output_closed.is_set():
            asyncio.get_running_loop().remove_reader(self._output)
            os.close(self._output)
            self._output_closed.set()

    def _write(self, data: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None
        with contextlib.suppress(RuntimeError):  # uvloop's word for a pipe that is closed; asyncio says nothing
            self._process.stdin.write(data)  # a guard that is gone shows at its reports' end, not here

    def give_sign_of_life(self) -> None:
        self._write(guard.SIGN_OF_LIFE)

    def order_end(self) -> None:
        """TERM, grace, KILL for the whole tree. May be repeated."""
        self._write(guard.KILL_ORDER)

    async def listen(self) -> None:
        """Takes the reports until guard and watcher are gone and the output is read to its end."""
        process = self._process
        assert process is not None and process.stdout is not None and process.stderr is not None
        try:
            while True:
                head = await process.stdout.readexactly(4)
                self._take(*marshal.loads(await process.stdout.readexactly(int.from_bytes(head, "big"))))
        except asyncio.IncompleteReadError:
            pass
        trouble = (await process.stderr.read(2000)).decode(errors="replace").strip()
        code = await process.wait()
        if self.end is None and self.refused is None and self.lost is None:
            self.lost = f"guard and watcher ended without an account (exit code {code}) {trouble}".strip()
        if self.lost is not None:
            await asyncio.to_thread(proctree.end_marked, self.mark, self.command_pid)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._output_closed.wait(), DRAIN_SECONDS)
        self._close_output()
        self.decided.set()

    def _take(self, word: str, value: Any) -> None:
        match word:
            case "started":
                self.command_pid = value
                self.decided.set()
            case "cpu":
                self._on_cpu(value)
            case "refused":
                self.refused = value
            case "end":
                self.end = value
            case "lost":
                self.lost = f"the guard was killed (exit code {value})"

    def kill_guard(self) -> None:
        """The last resort for a guard that does not answer; `listen` then ends what is left by its mark."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
