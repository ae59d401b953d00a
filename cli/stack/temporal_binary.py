"""Which `temporal` program: the first that is found wins, and we say which way was taken.

TEMPORAL_CLI, then PATH, then the state folder's `bin/`; else it is downloaded by the Temporal SDK, else built from
`deploy/temporal/go.mod` (6-8 minutes cold on two cores, once).
"""

import fcntl
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.stack import temporal_build
from domain.errors import Unavailable

VERSION = "1.8.2"
"""What is downloaded or built when the machine has none."""
STALLED_SECONDS = 20
"""A download that brings no byte for so long is given up."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class TemporalBinary:
    path: Path
    origin: str


def find(bin_folder: Path, *, given: str | None, search_path: str | None) -> TemporalBinary | None:
    """One that is already here.

    Raises Unavailable when TEMPORAL_CLI names something that cannot be run.
    """
    if given:
        if found := shutil.which(given, path=search_path):
            return TemporalBinary(Path(found).resolve(), "TEMPORAL_CLI")
        raise Unavailable(f"TEMPORAL_CLI={given} is not a program", hint="correct the variable, or unset it")
    if found := shutil.which("temporal", path=search_path):
        return TemporalBinary(Path(found).resolve(), "PATH")
    if found := shutil.which(str(bin_folder / "temporal")):
        return TemporalBinary(Path(found), "state folder")
    return None


def obtain(bin_folder: Path, *, given: str | None, search_path: str | None, say: Say) -> TemporalBinary:
    """One that is here, or a new one in `bin_folder`; `say` is told each step.

    Raises Unavailable when there is none and it can be neither downloaded nor built.
    """
    if found := find(bin_folder, given=given, search_path=search_path):
        return found
    with _one_at_a_time(bin_folder, say):
        if found := find(bin_folder, given=given, search_path=search_path):
            return found
        target = bin_folder / "temporal"
        say(f"no `temporal` program here; downloading {VERSION} (the Temporal SDK's own download)")
        if why_not := _download(target, say):
            say(f"download failed ({why_not}); building {VERSION} from source, once, 3 to 8 minutes")
            temporal_build.build(target, version=VERSION, search_path=search_path, say=say)
            return TemporalBinary(target, "built from source")
        return TemporalBinary(target, "downloaded")


@contextmanager
def _one_at_a_time(bin_folder: Path, say: Say) -> Iterator[None]:
    bin_folder.mkdir(parents=True, exist_ok=True)
    with (bin_folder / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is getting the Temporal server; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(target: Path, say: Say) -> str:
    """Empty when it worked, else why it did not."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as name:
        folder = Path(name)
        command = [sys.executable, "-I", "-m", "cli.stack.temporal_download", name]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
            megabytes, progress_at = 0, time.monotonic()
            while child.poll() is None:
                time.sleep(0.2)
                if (now := _megabytes_in(folder)) > megabytes:
                    megabytes, progress_at = now, time.monotonic()
                    say(f"downloaded {megabytes} MB")
                elif time.monotonic() - progress_at > STALLED_SECONDS:
                    child.kill()
                    return f"nothing came for {STALLED_SECONDS} s"
            text = child.stderr.read().decode(errors="replace").strip() if child.stderr else ""
        programs = [path for path in folder.rglob("*") if path.is_file() and shutil.which(str(path))]
        if child.returncode or not programs:
            return text.splitlines()[-1] if text else f"exit {child.returncode}"
        programs[0].rename(target)
        return ""


def _megabytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) // 1_000_000
