"""A whole local stack for a test, by the commands that people use; whatever happens, nothing of it stays."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cli.stack.postgres import Postgres
from cli.stack.process import read_record
from cli.stack.state import StackStatus, StateFolder, read_status
from tests.support.temporal_program import temporal_program

COMMAND_SECONDS = 170
"""Under pytest's own limit, so that a hanging command shows its output."""


@dataclass(frozen=True)
class Stack:
    """`up`, `down` and what can be seen of the processes. `user`: whom to be, when we are root."""

    folder: StateFolder
    home: Path
    python: str = sys.executable
    user: str | None = None
    temporal: str | None = None
    ports: Mapping[str, int] = field(default_factory=dict)

    def millwright(self, *arguments: str, more: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs the command to its end."""
        with self.start(*arguments, more=more) as child:
            try:
                out, err = child.communicate(timeout=COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                raise
        return subprocess.CompletedProcess(child.args, child.returncode, out, err)

    def start(self, *arguments: str, more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """The command, with an environment as after a login and `more`, and no terminal."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8"}
        environment |= {"TEMPORAL_CLI": str(self.temporal or temporal_program())}
        environment |= {f"MILLWRIGHT_{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        return subprocess.Popen(
            [self.python, "-m", "cli", *arguments, "--state-dir", str(self.folder.path)],
            env=environment | dict(more or {}),
            cwd=self.home,
            user=self.user,
            group=self.user,
            extra_groups=[] if self.user else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def up(self) -> StackStatus:
        done = self.millwright("up", "--json")
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return StackStatus.model_validate(json.loads(done.stdout))

    def down(self) -> list[str]:
        done = self.millwright("down", "--json")
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return list(json.loads(done.stdout)["ended"])

    def pid(self, name: str) -> int | None:
        record = read_record(self.folder.lock(name))
        return record.pid if record else None

    def pids(self) -> dict[str, int | None]:
        return {name: self.pid(name) for name in ("postgres", "temporal", "worker", "api")}

    def is_ready(self) -> bool:
        status = read_status(self.folder)
        return status is not None and status.ready

    def serves(self) -> bool:
        """Whether the API answers and says that it is well."""
        status = read_status(self.folder)
        if status is None:
            return False
        try:
            with urllib.request.urlopen(f"{status.api_url}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def left_over(self) -> list[str]:
        """Processes whose command line names this state folder, or whose working folder it is."""
        found = []
        for process in psutil.process_iter():
            try:
                words = " ".join(process.cmdline())
                if str(self.folder.path) in words or str(self.folder.path) in process.cwd():
                    found.append(f"{process.pid} {words}")
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found


@contextmanager
def stack(folder: Path, home: Path, **more: object) -> Iterator[Stack]:
    made = Stack(StateFolder(folder), home, **more)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.millwright("down")
        if made.folder.postgres.exists():
            shutil.rmtree(Postgres(made.folder.postgres, 0).data, ignore_errors=True)
