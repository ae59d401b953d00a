"""What `up`, `down` and `doctor` take from the environment, read once."""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class StackSettings(BaseSettings):
    """Standard names where there is a standard, else MILLWRIGHT_*."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    state_dir: Path | None = Field(default=None, validation_alias="MILLWRIGHT_STATE_DIR")
    xdg_state_home: Path | None = Field(default=None, validation_alias="XDG_STATE_HOME")
    temporal_cli: str | None = Field(default=None, validation_alias="TEMPORAL_CLI")
    search_path: str = Field(default=os.defpath, validation_alias="PATH")

    @property
    def state_folder(self) -> Path:
        """MILLWRIGHT_STATE_DIR, else $XDG_STATE_HOME/millwright, else ~/.local/state/millwright; absolute."""
        base = self.xdg_state_home or Path.home() / ".local" / "state"
        return (self.state_dir or base / "millwright").expanduser().absolute()
