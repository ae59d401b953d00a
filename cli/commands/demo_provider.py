"""Lets the local organization use the model that `MILLWRIGHT_DEMO_MODEL` names; the key stays in the environment."""

import json
import subprocess
import sys

from pydantic import TypeAdapter, ValidationError

from cli.commands.failing import UNREACHABLE, USAGE, CommandError
from cli.stack.plan import provider_arguments
from cli.stack.postgres import Postgres
from cli.stack.settings import StackSettings
from cli.stack.state import StackStatus, StateFolder
from domain.runs.messages import ModelName

ALLOW_SECONDS = 60.0


def allow(model: str, settings: StackSettings, folder: StateFolder, status: StackStatus) -> None:
    """Adds the model's provider to the organization's policy. Raises CommandError."""
    try:
        name = TypeAdapter(ModelName).validate_python(model).partition(":")[0]
    except ValidationError:
        raise CommandError(
            f"MILLWRIGHT_DEMO_MODEL: `{model}` is no model.", hint="Write openai:<model>.", exit_code=USAGE
        ) from None
    key = f"{name.upper().replace('-', '_')}_API_KEY"
    environment = settings.everything()
    if not environment.get(key):
        raise CommandError(
            f"MILLWRIGHT_DEMO_MODEL names a model of `{name}`, but {key} is not set.",
            hint=f"Set {key}, then start the stack anew (`millwright down`) so that its worker has it too.",
            exit_code=USAGE,
        )
    command = [sys.executable, "-P", "-m", "adapters.store", "migrate"]
    command += provider_arguments(name, environment)
    admin_url, url = settings.admin_database_url, settings.database_url
    if settings.database_url is None:
        postgres = Postgres(folder.postgres, status.ports["postgres"])
        admin_url, url = postgres.admin_url(), postgres.app_url()
    addresses = {"DATABASE_URL": url or "", "MILLWRIGHT_ADMIN_DATABASE_URL": admin_url or ""}
    done = subprocess.run(
        command,
        env={**settings.inherited(), **addresses},
        cwd=folder.path,
        capture_output=True,
        text=True,
        timeout=ALLOW_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise CommandError(
            f"The provider `{name}` could not be allowed: {_last_message(done.stdout) or done.stderr.strip()[-500:]}",
            exit_code=UNREACHABLE,
        )


def _last_message(printed: str) -> str:
    for line in reversed(printed.splitlines()):
        try:
            return str(json.loads(line)["message"])
        except (ValueError, KeyError, TypeError):
            continue
    return ""
