"""Running git so that nothing of the machine, the user or the repository configures it.

Environment and configuration are ours alone; a repository's config cannot override them (they are given in
git's command scope, which wins) and hooks, filters, fsmonitor, credential helpers and `ext::` are off.
The same settings stand in a file for the upload-pack and receive-pack processes, whose command scope git clears.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from adapters.workspace import failures
from domain.runs.failure import ErrorKind

BIG_FILE_BYTES = 16 * 1024**2
"""Larger files are streamed, never held in memory or diffed: git knows nothing of their lines."""
IDENTITY = "Millwright <millwright@localhost>"
CONFIG: tuple[tuple[str, str], ...] = (
    ("safe.directory", "*"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.alternateRefsCommand", "true"),  # the program: it names no refs
    ("core.autocrlf", "false"),
    ("core.quotePath", "false"),
    ("core.untrackedCache", "false"),
    ("core.splitIndex", "false"),
    ("core.sparseCheckout", "false"),
    ("core.preloadIndex", "false"),  # 4.8 ms instead of 6.4 ms for `add -A` over 3,000 files on two busy cores
    ("index.threads", "1"),
    ("core.looseCompression", "1"),
    ("core.bigFileThreshold", str(BIG_FILE_BYTES)),
    ("core.filesRefLockTimeout", "2000"),
    ("core.packedRefsTimeout", "5000"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("receive.autogc", "false"),
    ("receive.denyCurrentBranch", "refuse"),
    ("receive.denyNonFastForwards", "true"),
    ("fetch.unpackLimit", "1"),  # a killed fetch leaves a whole pack or none, never a commit without its tree
    ("fetch.recurseSubmodules", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("push.recurseSubmodules", "no"),
    ("submodule.recurse", "false"),
    ("protocol.version", "2"),
    ("protocol.ext.allow", "never"),
    ("credential.helper", ""),
    ("advice.addEmbeddedRepo", "false"),
)
ALLOWED = "GIT_ALLOW_PROTOCOL"
"""Environment variable with the transports that git may use; `none` is no transport."""
LOCAL_SECONDS = 900.0
"""For git on this machine: a bound against a hang, generous enough for a first clone of a huge repository."""
NETWORK_SECONDS = 300.0
_CHUNK = 1 << 16
_PLACES = ("GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")


class Stop:
    """Ends the git process that runs now, and refuses the next one: a cancelled caller waits for nothing."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def now(self) -> None:
        with self._guard:
            self._stopped = True
            if self._process is not None:
                _kill(self._process)

    @contextlib.contextmanager
    def watching(self, start: "_Start") -> Iterator[subprocess.Popen[bytes]]:
        with self._guard:
            if self._stopped:
                raise failures.failure(ErrorKind.CANCELLED, "Git work was cancelled", hint="Nothing to do.")
            process = start()
            self._process = process
        try:
            yield process
        finally:
            with self._guard:
                if process.poll() is None:
                    _kill(process)
                self._process = None
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


class _Start:
    def __init__(
        self, argv: Sequence[str], options: "Git", *, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None
    ) -> None:
        self._argv, self._options, self._stdin, self._stdout = list(argv), options, stdin, stdout

    def __call__(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._argv,
            stdin=self._stdin or subprocess.PIPE,
            stdout=self._stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._options.folder,
            env=dict(self._options.environment),
            start_new_session=True,
            pass_fds=self._options.held_locks,
        )


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Output:
    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace").strip()

    @property
    def paths(self) -> list[str]:
        """NUL-separated names; bytes that are no UTF-8 survive as surrogates (os.fsencode brings them back)."""
        return [os.fsdecode(name) for name in self.stdout.split(b"\0") if name]


@dataclass(frozen=True)
class Git:
    """One way of calling git: where, on which repository, holding which locks. Blocking; used in threads."""

    binary: str
    folder: Path
    environment: Mapping[str, str]
    held_locks: tuple[int, ...] = ()
    """Inherited by git, so that a git that outlives its killed worker keeps the lock until it has ended."""
    stop: Stop = field(default_factory=Stop)

    def at(
        self,
        folder: Path,
        *,
        git_dir: Path | None = None,
        work_tree: Path | None = None,
        index: Path | None = None,
        held_locks: tuple[int, ...] | None = None,
    ) -> "Git":
        env = dict(self.environment)
        if git_dir is not None:
            # Both, because a planted `commondir` file could otherwise lead to another config.
            env["GIT_DIR"] = env["GIT_COMMON_DIR"] = str(git_dir)
        if work_tree is not None:
            env["GIT_WORK_TREE"] = str(work_tree)
        if index is not None:
            env["GIT_INDEX_FILE"] = str(index)
        locks = self.held_locks if held_locks is None else held_locks
        return replace(self, folder=folder, environment=env, held_locks=locks)

    def in_repository(self, folder: Path) -> "Git":
        """In a folder whose own repository counts, whichever this git worked on."""
        env = {key: value for key, value in self.environment.items() if key not in _PLACES}
        return replace(self, folder=folder, environment={**env, ALLOWED: "none"})

    def with_stop(self, stop: Stop) -> "Git":
        return replace(self, stop=stop)

    def with_env(self, extra: Mapping[str, str]) -> "Git":
        return replace(self, environment={**self.environment, **extra})

    def try_run(self, *args: str, stdin: bytes = b"", timeout_seconds: float = LOCAL_SECONDS) -> Output:
        """Any exit code is an answer. Raises PhaseFailure(timeout) and PhaseFailure(workspace: no such folder)."""
        try:
            with self.stop.watching(_Start((self.binary, *args), self)) as process:
                stdout, stderr = process.communicate(stdin, timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            raise self._too_slow(args[0], timeout_seconds) from None
        except OSError as error:
            raise failures.from_os_error(error, self.folder) from error
        return Output(process.returncode, stdout, stderr.decode(errors="replace"))

    def run_file(self, *args: str, stdin: bytes | Path = b"", stdout: Path | None = None) -> Output:
        """As `try_run`, with a file as standard input or output: memory is bounded whatever goes through."""
        with contextlib.ExitStack() as files:
            source = files.enter_context(stdin.open("rb")) if isinstance(stdin, Path) else None
            sink = files.enter_context(stdout.open("wb")) if stdout is not None else None
            try:
                with self.stop.watching(_Start((self.binary, *args), self, stdin=source, stdout=sink)) as process:
                    said, stderr = process.communicate(
                        stdin if isinstance(stdin, bytes) else None, timeout=LOCAL_SECONDS
                    )
            except subprocess.TimeoutExpired:
                raise self._too_slow(args[0], LOCAL_SECONDS) from None
        return Output(process.returncode, said or b"", stderr.decode(errors="replace"))

    def _too_slow(self, command: str, limit_seconds: float) -> Exception:
        return failures.failure(
            ErrorKind.TIMEOUT,
            f"git {command} did not end within {limit_seconds:g} s in {self.folder}",
            hint="Check the disk, or the connection to the remote; the phase is tried again.",
        )

    def run(self, *args: str, stdin: bytes = b"", timeout_seconds: float = LOCAL_SECONDS) -> Output:
        """Raises PhaseFailure(workspace or storage) unless git exits with 0."""
        output = self.try_run(*args, stdin=stdin, timeout_seconds=timeout_seconds)
        if output.code != 0:
            raise failures.from_git(args[0], self.folder, output.stderr)
        return output

    def read_capped(self, *args: str, limit_bytes: int) -> tuple[bytes, bool]:
        """The first bytes of what git prints, and whether there was more; then git is ended. Memory is bounded."""
        with self.stop.watching(_Start((self.binary, *args), self)) as process:
            assert process.stdin and process.stdout and process.stderr
            process.stdin.close()
            kept = bytearray()
            while len(kept) <= limit_bytes and (chunk := os.read(process.stdout.fileno(), _CHUNK)):
                kept += chunk
            cut = len(kept) > limit_bytes
            if cut:
                _kill(process)
            stderr = process.stderr.read().decode(errors="replace")
        if not cut and process.returncode != 0:
            raise failures.from_git(args[0], self.folder, stderr)
        return bytes(kept[:limit_bytes]), cut


def base_environment(binary: str, config_file: Path) -> dict[str, str]:
    """The whole environment of our git; nothing is inherited."""
    env = {
        "PATH": f"{Path(binary).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": str(config_file),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        ALLOWED: "file",
        "GIT_CONFIG_COUNT": str(len(CONFIG)),
    }
    for number, (key, value) in enumerate(CONFIG):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    return env


def config_text() -> str:
    """CONFIG as a git configuration file."""
    lines = []
    for key, value in CONFIG:
        section, _, name = key.rpartition(".")
        head, _, sub = section.partition(".")
        lines.append(f'[{head} "{sub}"]' if sub else f"[{head}]")
        lines.append(f'\t{name} = "{value}"')
    return "\n".join(lines) + "\n"


def served_by(binary: str, service: str) -> str:
    """The command for `--upload-pack` or `--receive-pack` on a local repository whose own config must not count. It may
    connect to nowhere: a partial clone would else fetch what it lacks, by commands of that config."""
    overrides = [f"{key}={value}" for key, value in CONFIG if key.split(".")[0] in {"core", "receive", "gc"}]
    words = ["env", f"{ALLOWED}=none", binary, *(word for override in overrides for word in ("-c", override)), service]
    return shlex.join(words)
