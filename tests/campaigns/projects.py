"""Public projects whose source distributions carry their tests: pinned by hash, fetched and unpacked at run time.

`projects.json` pins the distributions, `project_tools.txt` what their tests need. Nothing of them is committed here.
"""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from domain.base import Frozen

HERE = Path(__file__).parent
TOOLS = HERE / "project_tools.txt"
SUITE_SECONDS = 20
"""A project whose tests take longer is not for this campaign."""


class Project(Frozen):
    name: str
    version: str
    sha256: str
    """Of the source distribution."""
    import_root: str
    """Folder on PYTHONPATH."""
    code: tuple[str, ...]
    """Where faults may be planted; test files in it are left alone."""
    tests: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"{self.name}-{self.version}"

    def code_files(self, root: Path) -> list[str]:
        """Relative paths, sorted."""
        found = [
            path
            for top in self.code
            for path in ([root / top] if (root / top).is_file() else (root / top).rglob("*.py"))
        ]
        paths = [path.relative_to(root) for path in found]
        return sorted(str(path) for path in paths if not any(part.startswith("test") for part in path.parts))


def all_projects() -> tuple[Project, ...]:
    return tuple(Project.model_validate(row) for row in json.loads((HERE / "projects.json").read_text()))


@dataclass(frozen=True)
class TestRun:
    passed: bool
    failed: bool
    """Tests ran and some failed; neither passed nor failed: broken, interrupted or too slow."""
    output: str


class ProjectShelf:
    """A cache folder: one virtual environment for all tests, and each project unpacked as it was published."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def python(self) -> Path:
        return self._folder / "venv" / "bin" / "python"

    def prepare(self) -> None:
        """The virtual environment, made anew when its requirements changed."""
        stamp, wanted = self._folder / "venv" / "made-of", hashlib.sha256(TOOLS.read_bytes()).hexdigest()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        uv = os.environ.get("UV") or shutil.which("uv") or "uv"
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(self.python.parent.parent)])
        _run([uv, "pip", "install", "--quiet", "--python", str(self.python), "--require-hashes", "-r", str(TOOLS)])
        stamp.write_text(wanted)

    def source(self, project: Project) -> Path:
        """The unpacked source distribution, downloaded by pip, which checks its hash."""
        unpacked = self._folder / "sources" / project.label
        if unpacked.is_dir():
            return unpacked
        downloads = self._folder / "downloads" / project.label
        shutil.rmtree(downloads, ignore_errors=True)
        downloads.mkdir(parents=True)
        pinned = downloads / "requirements.txt"
        pinned.write_text(f"{project.name}=={project.version} --hash=sha256:{project.sha256}\n")
        pip = [str(self.python), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        pip += ["--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--require-hashes"]
        _run([*pip, "-r", str(pinned), "-d", str(downloads)])
        (archive,) = downloads.glob("*.tar.gz")
        half_made = downloads / "unpacked"
        with tarfile.open(archive) as file:
            file.extractall(half_made, filter="data")
        (top,) = half_made.iterdir()
        unpacked.parent.mkdir(parents=True, exist_ok=True)
        top.rename(unpacked)
        return unpacked

    def test_command(self, project: Project) -> str:
        """For /bin/sh in the project's root; stops at the first failure and leaves nothing behind."""
        words = [str(self.python), "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-o", "addopts="]
        environment = f"PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={shlex.quote(project.import_root)}"
        return f"{environment} {shlex.join([*words, *project.tests])}"

    def test(self, project: Project, root: Path) -> TestRun:
        """Runs the project's own tests in a folder."""
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(self._folder)}
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", f"exec env {self.test_command(project)}"],
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=SUITE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return TestRun(False, False, f"longer than {SUITE_SECONDS} s")
        return TestRun(done.returncode == 0, done.returncode == 1, done.stdout.decode(errors="replace"))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{Path(command[0]).name} failed ({done.returncode}):\n{done.stdout.strip()}")
