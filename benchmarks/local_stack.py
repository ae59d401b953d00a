"""A local stack of its own for one measurement or campaign: started by `millwright up`, on ports of its own.

Nothing is reached but what this stack started: processes are known by pid and start time, from its `stack.json`.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
from psycopg.rows import dict_row

from cli.stack.ports import any_free
from cli.stack.postgres import Postgres
from cli.stack.process import read_record, start_token
from cli.stack.state import StackStatus, StateFolder, read_status

ROOT = Path(__file__).resolve().parents[1]
FOREIGN = ("DATABASE_URL", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "MILLWRIGHT_ADMIN_DATABASE_URL")
"""Would point the stack at somebody else's servers."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Known:
    """A process of this stack, named for ever: a pid that was given to somebody else has another start time."""

    name: str
    pid: int
    started: str

    @property
    def alive(self) -> bool:
        return start_token(self.pid) == self.started

    def signal(self, number: int) -> bool:
        """False: it was gone."""
        if not self.alive:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


class LocalStack:
    """`environment` is added to ours for every process of the stack."""

    def __init__(self, state_dir: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = StateFolder(state_dir.absolute())
        ports = {
            name: str(any_free())
            for name in (
                "MILLWRIGHT_API_PORT",
                "MILLWRIGHT_TEMPORAL_PORT",
                "MILLWRIGHT_TEMPORAL_UI_PORT",
                "MILLWRIGHT_POSTGRES_PORT",
                "MILLWRIGHT_WORKER_METRICS_PORT",
            )
        }
        inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        self.environment = inherited | ports | dict(environment or {}) | {"MILLWRIGHT_STATE_DIR": str(self.folder.path)}

    def up(self, *, seconds: float = 300) -> None:
        """Returns when all is ready; also brings back a stack whose supervisor is dead. Raises RuntimeError."""
        self._millwright("up", "--json", seconds=seconds)

    def down(self) -> None:
        if self.folder.path.exists():
            self._millwright("down", "--json", seconds=300)

    def remove(self) -> None:
        """Ends it and deletes all that it stored."""
        self.down()
        if (self.folder.postgres / "identity.json").exists():
            shutil.rmtree(self._postgres.data, ignore_errors=True)
        shutil.rmtree(self.folder.path, ignore_errors=True)

    @contextmanager
    def running(self) -> Iterator["LocalStack"]:
        """Up, and removed at the end whatever happens."""
        try:
            self.up()
            yield self
        finally:
            self.remove()

    @property
    def status(self) -> StackStatus:
        status = read_status(self.folder)
        if status is None:
            raise RuntimeError(f"no stack runs in {self.folder.path}")
        return status

    @property
    def metrics_url(self) -> str:
        """Of the worker."""
        return f"http://127.0.0.1:{self.environment['MILLWRIGHT_WORKER_METRICS_PORT']}/metrics"

    def api(self) -> httpx.AsyncClient:
        """As the local admin."""
        credentials = json.loads(self.folder.credentials_file.read_text())
        key = {"Authorization": f"Bearer {credentials['api_key']}"}
        return httpx.AsyncClient(base_url=credentials["api_url"], headers=key, timeout=30)

    @property
    def admin_url(self) -> str:
        return self._postgres.admin_url()

    @property
    def app_url(self) -> str:
        return self._postgres.app_url()

    def sql(self, text: str, *values: object) -> list[Row]:
        """As the owner, who sees every organization; committed at the end."""
        with psycopg.connect(self.admin_url, connect_timeout=5, row_factory=dict_row) as connection:
            cursor = connection.execute(text, values or None)
            return cursor.fetchall() if cursor.description else []

    async def ask_patiently(self, text: str, *values: object, seconds: float = 120) -> list[Row]:
        """As `sql`, also while the database is being killed."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return await asyncio.to_thread(self.sql, text, *values)
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.3)

    def process(self, name: str) -> Known | None:
        """`supervisor`, `postgres`, `temporal`, `worker` or `api`, when it lives now."""
        record = read_record(self.folder.lock(name))
        return Known(name, record.pid, record.started) if record else None

    def left_processes(self) -> list[str]:
        """Every process on this machine that belongs to this stack or to a command that one of its runs started: its
        command line, environment or folder names the state folder. Empty after `down`."""
        state = str(self.folder.path)
        data = str(self._postgres.data) if (self.folder.postgres / "identity.json").exists() else state
        ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        found = []
        for process in psutil.process_iter():
            if process.pid not in ours and any(state in text or data in text for text in _traces(process)):
                found.append(f"{process.pid} {' '.join(_read(process.cmdline, []))[:200]}")
        return found

    @property
    def _postgres(self) -> Postgres:
        status = read_status(self.folder)
        port = status.ports["postgres"] if status else int(self.environment["MILLWRIGHT_POSTGRES_PORT"])
        return Postgres(self.folder.postgres, port)

    def _millwright(self, *words: str, seconds: float) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "cli", *words],
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"millwright {words[0]} failed ({done.returncode}):\n{done.stdout}{done.stderr}".strip())


def _traces(process: psutil.Process) -> list[str]:
    """What tells whose it is, as far as we may read it."""
    if _read(process.status, psutil.STATUS_ZOMBIE) == psutil.STATUS_ZOMBIE:
        return []
    return [*_read(process.cmdline, []), _read(process.cwd, ""), *_read(process.environ, {}).values()]


def _read(what: Any, otherwise: Any) -> Any:
    try:
        return what()
    except (psutil.Error, OSError):
        return otherwise
