"""The embedded PostgreSQL: a small driver over the plain binaries.

The server listens on one loopback port with scram passwords and has no Unix socket (whose path would be limited to
107 bytes). As root it runs as `nobody`, its data in a folder under /var/lib/millwright, since `nobody` cannot enter a
home folder; else its data is in the state folder. `fsync` is on, except for tests that ask for speed.
"""

import fcntl
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg

from cli.stack.ports import LOOPBACK
from cli.stack.postgres_binaries import binaries, make_shared_folder
from cli.stack.process import ALREADY_RUNNING, Service, last_lines, launch, read_record, stop
from domain.errors import Unavailable

DATABASE = "millwright"
ADMIN_ROLE = "millwright_admin"
APP_ROLE = "millwright_app"
UNPRIVILEGED = "nobody"
OWNER_NOTE = "millwright-owner"
"""In the data folder: whose it is, so that `doctor` can name data that outlived its state folder."""
STOP_SIGNALS = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
"""Fast shutdown, then an immediate one, then none at all: each is safe, the later ones replay the log at start."""

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "jit": "off",  # short statements: compiling costs more than it saves
    "wal_compression": "on",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}
FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "10s"}
"""For tests: survives kill -9 of the server, not a power cut."""


@dataclass(frozen=True)
class Identity:
    """Random once per cluster, kept in `postgres/identity.json` with mode 0600."""

    cluster: str
    admin_password: str
    app_password: str


class Postgres:
    """One cluster. `folder` is the state folder's `postgres/`; `data_root` is where a root user's data goes."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        log: Path | None = None,
        lock: Path | None = None,
        fast: bool = False,
        data_root: Path | None = None,
    ) -> None:
        self.folder = folder
        self.port = port
        self.log = log or folder / "postgres.log"
        self.lock = lock or folder / "postgres.lock"
        self._settings = SETTINGS | {"port": str(port)} | (FAST_SETTINGS if fast else {})
        self._fast = fast
        self._data_root = data_root
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None

    @property
    def identity(self) -> Identity:
        return Identity(**json.loads((self.folder / "identity.json").read_text()))

    @property
    def data(self) -> Path:
        """The cluster's data folder (PGDATA)."""
        root = self._data_root or (make_shared_folder() if self._user else self.folder)
        return root / f"data-{self.identity.cluster}"

    @property
    def settings(self) -> dict[str, str]:
        return dict(self._settings)

    def admin_url(self, database: str = DATABASE) -> str:
        return f"postgresql://{ADMIN_ROLE}:{self.identity.admin_password}@{LOOPBACK}:{self.port}/{database}"

    def app_url(self, database: str = DATABASE) -> str:
        """For the role without superuser rights; the migrations create the role with this password."""
        return f"postgresql://{APP_ROLE}:{self.identity.app_password}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Create the cluster when there is none, clear what a dead server left. Safe to call again and at once."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / "prepare.lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            self._write_identity()
            if not self.data.exists():
                self._create_cluster()
                (self.data / OWNER_NOTE).write_text(str(self.folder))
            self._remove_stale_pid()

    def service(self) -> Service:
        argv = [str(binaries() / "bin" / "postgres"), "-D", str(self.data)]
        for name, value in self._settings.items():
            argv += ["-c", f"{name}={value}"]
        return Service(
            name="postgres",
            argv=argv,
            env=_environment(),
            cwd=Path("/"),
            lock=self.lock,
            log=self.log,
            user=self._user,
            fingerprint=f"postgres:{self.port}",
            stop_signals=STOP_SIGNALS,
        )

    def start(self, *, tethered: bool = False, timeout_seconds: float = 60) -> None:
        """Start the server and return when it answers; nothing is done when it runs already."""
        if read_record(self.lock) is None:
            self.prepare()
            process = launch(self.service(), tethered=tethered)
            deadline = time.monotonic() + timeout_seconds
            while not self.answers():
                if process.poll() not in (None, ALREADY_RUNNING) or time.monotonic() > deadline:
                    log = "\n".join(last_lines(self.log))
                    raise Unavailable(f"PostgreSQL did not start on port {self.port}:\n{log}", hint=f"see {self.log}")
                time.sleep(0.05)

    def answers(self) -> bool:
        """Whether `SELECT 1` works now, as the owner and with our password: so it is ours, not somebody else's."""
        try:
            with psycopg.connect(self.admin_url("postgres"), connect_timeout=3) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        if record := read_record(self.lock):
            stop(record, STOP_SIGNALS)

    @contextmanager
    def running(self, *, tethered: bool = True) -> Iterator["Postgres"]:
        self.start(tethered=tethered)
        try:
            yield self
        finally:
            self.stop()

    def _write_identity(self) -> None:
        path = self.folder / "identity.json"
        if path.exists():
            return
        identity = Identity(uuid4().hex[:12], secrets.token_urlsafe(24), secrets.token_urlsafe(24))
        half_made = self.folder / ".identity.json"
        half_made.touch(mode=0o600)
        half_made.write_text(json.dumps(vars(identity)))
        half_made.rename(path)

    def _create_cluster(self) -> None:
        """Into a folder beside, renamed when whole: an interrupted set-up leaves no half-made cluster."""
        half_made = self.data.with_name(f".new-{self.identity.cluster}")
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(mode=0o700)
        password = half_made.with_name(f".password-{self.identity.cluster}")
        password.touch(mode=0o600)
        password.write_text(self.identity.admin_password)
        if self._user:
            for path in (half_made, password):
                os.chown(path, pwd.getpwnam(self._user).pw_uid, pwd.getpwnam(self._user).pw_gid)
        initdb = [str(binaries() / "bin" / "initdb"), "-D", str(half_made), "-U", ADMIN_ROLE, "--encoding=UTF8"]
        initdb += ["--auth=scram-sha-256", f"--pwfile={password}", "--no-instructions"]
        initdb += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        initdb += ["--no-sync"] if self._fast else []
        try:
            self._run(initdb)
            single_user = [str(binaries() / "bin" / "postgres"), "--single", "-D", str(half_made), "postgres"]
            self._run(single_user, given=f"CREATE DATABASE {DATABASE}\n")
        finally:
            password.unlink()
        half_made.rename(self.data)

    def _run(self, command: list[str], given: str = "") -> None:
        done = subprocess.run(
            command,
            input=given.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(),
            cwd="/",
            user=self._user,
            group=pwd.getpwnam(self._user).pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
            check=False,
        )
        if done.returncode:
            text = done.stdout.decode(errors="replace").strip()
            raise Unavailable(f"{Path(command[0]).name} failed (exit {done.returncode}): {text}", hint="see the text")

    def _remove_stale_pid(self) -> None:
        """PostgreSQL refuses to start while the pid in postmaster.pid lives, even if it is by now somebody else's."""
        pid_file = self.data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split()[0])
            ours = str(self.data) in psutil.Process(pid).cmdline()
        except FileNotFoundError:
            return
        except psutil.AccessDenied:
            return
        except (psutil.NoSuchProcess, ValueError, IndexError):
            ours = False
        if not ours:
            pid_file.unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    return {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "TZ": "UTC"}
