"""Where the API is and with which key, read once: the environment first, else the local stack's credentials."""

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from cli.commands.failing import UNREACHABLE, CommandError
from cli.stack.credentials import read_credentials
from cli.stack.settings import StackSettings
from cli.stack.state import StateFolder
from domain.base import Frozen


class CommandSettings(BaseSettings):
    """docs/cli.md lists them."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    api_url: str | None = Field(default=None, validation_alias="MILLWRIGHT_API_URL")
    api_key: str | None = Field(default=None, validation_alias="MILLWRIGHT_API_KEY", repr=False)
    demo_model: str | None = Field(default=None, validation_alias="MILLWRIGHT_DEMO_MODEL")
    """`provider:model` that `millwright demo` runs on instead of its script."""


class Target(Frozen):
    """An API and the key for it."""

    api_url: str
    api_key: str | None = Field(default=None, repr=False)

    def page(self, run_id: object) -> str:
        return f"{self.api_url}/ui/runs/{run_id}"

    @property
    def is_local(self) -> bool:
        host = urlsplit(self.api_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def find_target(settings: CommandSettings, state_dir: Path | None = None) -> Target:
    """The key of the local stack goes to the local stack's address only. Raises CommandError with what to do."""
    stack = StackSettings()
    folder = StateFolder((state_dir or stack.state_folder).expanduser().absolute())
    known = read_credentials(folder)
    url = settings.api_url or known.get("api_url")
    if not url:
        raise CommandError(
            f"No Millwright is known here: there is no {folder.credentials_file}, and MILLWRIGHT_API_URL is not set.",
            hint="Start one with `millwright up`, or set MILLWRIGHT_API_URL and MILLWRIGHT_API_KEY.",
            exit_code=UNREACHABLE,
        )
    url = url.rstrip("/")
    own = known.get("api_key") if url == str(known.get("api_url", "")).rstrip("/") else None
    return Target(api_url=url, api_key=settings.api_key or own)
