"""When we are root: a clone of the product in the closed home of an ordinary user, with an interpreter for it."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

from cli.stack.postgres_binaries import others_can_enter

ROOT = Path(__file__).resolve().parents[2]
USER = "daemon"
"""An ordinary user that every Debian has; nothing of it runs."""
OLDEST = (3, 11)


def clone_for_other_user(home: Path) -> str:
    """Makes `home` (mode 0700, the user's) with a clone in it; the path of its Python."""
    clone = home / "a clone"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    vendor = Path("api", "web", "static", "vendor")
    shutil.copytree(ROOT / vendor, clone / vendor, dirs_exist_ok=True)
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "uv runs the tests, so it is there"
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    command = [uv, "sync", "--frozen", "--quiet", "--no-dev", "--python", _interpreter_for_others(home)]
    subprocess.run(command, cwd=clone, env=environment | {"UV_PROJECT_ENVIRONMENT": ".venv"}, check=True)
    home.chmod(0o700)
    user = pwd.getpwnam(USER)
    for folder, _, _ in os.walk(home):  # folders only: the files of the environment are hard links into uv's cache
        os.chown(folder, user.pw_uid, user.pw_gid)
    return str(clone / ".venv" / "bin" / "python")


def _interpreter_for_others(home: Path) -> str:
    """One of the machine that others may execute; where there is none, a copy of ours."""
    ours = Path(sys.base_prefix) / "bin" / "python3"
    for candidate in (ours, Path("/usr/bin/python3")):
        if candidate.exists() and others_can_enter(candidate.parent) and _version(candidate) >= OLDEST:
            return str(candidate)
    copy = home / "python"
    shutil.copytree(sys.base_prefix, copy, symlinks=True, ignore=shutil.ignore_patterns("site-packages", "test"))
    return str(copy / "bin" / "python3")


def _version(python: Path) -> tuple[int, ...]:
    code = "import sys; print(*sys.version_info[:2])"
    return tuple(map(int, subprocess.run([str(python), "-c", code], capture_output=True, check=True).stdout.split()))
