"""What `up`, `down` and `doctor` take from the environment, read once."""

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

EVERY_PROCESS = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_*", "TZ", "TMPDIR", "XDG_*_HOME"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("OTEL_*", "MILLWRIGHT_*", "TEMPORAL_*"),
    *("CONTEXT_MODEL", "RETRIEVAL_MODEL", "EXECUTION_MODEL"),
)
"""Patterns of names that the worker and the API get."""
ONLY_WORKER = ("*_API_KEY", "*_API_BASE", "*_BASE_URL", "*_ENDPOINT", "*_TOKEN", "*_MODEL")
"""Where `env:NAME` references usually point; MILLWRIGHT_PASS_ENV names others."""
NEVER = ("MILLWRIGHT_ADMIN_DATABASE_URL", "MILLWRIGHT_API_KEY", "MILLWRIGHT_API_URL", "TEMPORAL_CLI")
"""For the migrations and the command line only."""


class StackSettings(BaseSettings):
    """Standard names where there is a standard, else MILLWRIGHT_*. docs/stack.md lists them."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    state_dir: Path | None = Field(default=None, validation_alias="MILLWRIGHT_STATE_DIR")
    xdg_state_home: Path | None = Field(default=None, validation_alias="XDG_STATE_HOME")
    search_path: str = Field(default=os.defpath, validation_alias="PATH")
    temporal_cli: str | None = Field(default=None, validation_alias="TEMPORAL_CLI")
    temporal_address: str | None = Field(default=None, validation_alias="TEMPORAL_ADDRESS")
    """A server of your own instead of the local one."""
    database_url: str | None = Field(default=None, validation_alias="DATABASE_URL")
    """A PostgreSQL of your own instead of the embedded one; migrated when the next one is given too."""
    admin_database_url: str | None = Field(default=None, validation_alias="MILLWRIGHT_ADMIN_DATABASE_URL")
    api_host: str = Field(default="127.0.0.1", validation_alias="MILLWRIGHT_API_HOST")
    api_port: int = Field(default=8642, ge=1, le=65_535, validation_alias="MILLWRIGHT_API_PORT")
    temporal_port: int = Field(default=7233, ge=1, le=65_535, validation_alias="MILLWRIGHT_TEMPORAL_PORT")
    temporal_ui_port: int = Field(default=8233, ge=1, le=65_535, validation_alias="MILLWRIGHT_TEMPORAL_UI_PORT")
    postgres_port: int = Field(default=25432, ge=1, le=65_535, validation_alias="MILLWRIGHT_POSTGRES_PORT")
    pass_env: str = Field(default="", validation_alias="MILLWRIGHT_PASS_ENV")
    """More names for the worker, comma separated: where `env:NAME` references of this installation point."""

    @property
    def state_folder(self) -> Path:
        """MILLWRIGHT_STATE_DIR, else $XDG_STATE_HOME/millwright, else ~/.local/state/millwright; absolute."""
        base = self.xdg_state_home or Path.home() / ".local" / "state"
        return (self.state_dir or base / "millwright").expanduser().absolute()

    @property
    def passed_names(self) -> list[str]:
        return [name.strip() for name in self.pass_env.split(",") if name.strip()]

    def inherited(self, *, worker: bool = False) -> dict[str, str]:
        """What a child takes over from our environment: only names that it has a use for."""
        wanted = (*EVERY_PROCESS, *ONLY_WORKER, *self.passed_names) if worker else EVERY_PROCESS
        return {
            name: value
            for name, value in os.environ.items()
            if _matches(name, wanted) and not _matches(name, NEVER) and name != "DATABASE_URL"
        }

    def everything(self) -> dict[str, str]:
        """Our whole environment, for the supervisor, which hands on to each process what that one needs."""
        return dict(os.environ)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
