"""What the record takes from the environment."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class StoreSettings(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: str = Field(validation_alias="DATABASE_URL")
    """Of the role under row-level security."""
    admin_database_url: str = Field(validation_alias="MILLWRIGHT_ADMIN_DATABASE_URL")
    """Of the owner; migrations only."""
