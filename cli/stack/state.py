"""The state folder, and `stack.json` in it: what the supervisor last knew, for people, `up`, `down` and campaigns."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from domain.base import Frozen

OURS = (
    "bin",
    "run",
    "logs",
    "postgres",
    "temporal.db",
    "artifacts",
    "workspaces",
    "stack.json",
    "credentials.json",
    "campaigns",
    "sample-repository",
    ".stack.json",
    ".credentials.json",
)
"""How the names of everything begin that a stack puts into its folder."""

StepState = Literal["waiting", "starting", "ready", "done", "backoff", "stopped"]


class StateFolder:
    """Names of everything in it. Mode 0700: it holds credentials and worktrees."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> str | None:
        """What there is to say of a folder that was there and open to others: one that holds only what is ours is
        closed, any other is left as it is."""
        said = self._close() if self.path.is_dir() else None
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.run, self.logs, self.bin, self.path / "workspaces"):
            folder.mkdir(exist_ok=True, mode=0o700)
        return said

    def _close(self) -> str | None:
        about = self.path.stat()
        if about.st_uid != os.geteuid() or not about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            return None
        foreign = [entry.name for entry in self.path.iterdir() if not entry.name.startswith(OURS)]
        if foreign:
            return (
                f"{self.path} is open to others and holds {foreign[0]}, too: chmod 700 it, or take a folder of its own"
            )
        self.path.chmod(0o700)
        return f"{self.path} was open to others: it is closed now (mode 0700), for it holds credentials and worktrees"

    @property
    def bin(self) -> Path:
        return self.path / "bin"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def temporal_database(self) -> Path:
        return self.path / "temporal.db"

    @property
    def stack_file(self) -> Path:
        return self.path / "stack.json"

    @property
    def credentials_file(self) -> Path:
        return self.path / "credentials.json"

    def lock(self, name: str) -> Path:
        return self.run / f"{name}.lock"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


class ProcessStatus(Frozen):
    """One process, or one task that ran to its end."""

    state: StepState = "waiting"
    pid: int | None = None
    started: str | None = None
    """Start time as `cli.stack.process.start_token` gives it: pid and this name a process without doubt."""
    address: str | None = None
    log: str
    restarts: int = 0
    """Times it was started again since the supervisor began."""
    failures: int = 0
    """Starts in a row that never got ready."""
    problem: str | None = None
    """The last failure: how it ended and the end of its log."""
    took_seconds: float | None = None
    """From start to ready."""


class StackStatus(Frozen):
    """`stack.json`."""

    version: int = 1
    state_dir: str
    supervisor_pid: int
    supervisor_started: str
    api_url: str
    temporal_address: str
    temporal_ui_url: str | None = None
    temporal_origin: str | None = None
    """How the `temporal` program was found; None when a server of your own is used."""
    ports: Mapping[str, int]
    moved_ports: Mapping[str, int] = {}
    """Name -> the usual port, where that one was taken."""
    processes: Mapping[str, ProcessStatus] = {}

    @property
    def ready(self) -> bool:
        return bool(self.processes) and all(p.state in ("ready", "done") for p in self.processes.values())


def read_status(folder: StateFolder) -> StackStatus | None:
    """What stands in `stack.json`; None when there is none that can be read."""
    try:
        return StackStatus.model_validate_json(folder.stack_file.read_text())
    except (FileNotFoundError, ValueError):
        return None


def write_atomically(path: Path, text: str) -> None:
    """Readers see the old or the new text, never half; mode 0600."""
    half_made = path.with_name(f".{path.name}.new")
    half_made.touch(mode=0o600)
    half_made.write_text(text)
    half_made.replace(path)
