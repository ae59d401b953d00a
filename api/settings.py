"""What the API process takes from the environment, read once in __main__ (docs/api.md lists it)."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from api.security.hosts import bare_host
from domain.models.choice import StageModels
from domain.runs.messages import ModelName

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


class ApiSettings(BaseSettings):
    """TEMPORAL_* is read by temporalio's own configuration, OTEL_* by OpenTelemetry's names."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True)

    database_url: str = Field(validation_alias="DATABASE_URL")
    """Of the application's own role (no superuser), so that row-level security holds."""
    state_dir: Path = Field(validation_alias="MILLWRIGHT_STATE_DIR")
    postgres_data_dir: Path | None = Field(default=None, validation_alias="MILLWRIGHT_POSTGRES_DATA_DIR")
    """Of a local PostgreSQL: readiness looks at the room on its disk."""
    artifact_url: str | None = Field(default=None, validation_alias="MILLWRIGHT_ARTIFACT_URL")
    """Shared with all workers; default: a folder in the state folder."""
    host: str = Field(default="127.0.0.1", validation_alias="MILLWRIGHT_API_HOST")
    port: int = Field(default=8642, ge=0, le=65_535, validation_alias="MILLWRIGHT_API_PORT")
    public_url: str | None = Field(default=None, validation_alias="MILLWRIGHT_PUBLIC_URL")
    """Address that people see, when a proxy stands before us; https makes cookies Secure."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(default=(), validation_alias="MILLWRIGHT_ALLOWED_HOSTS")
    """More names that the Host header may carry, separated by commas; loopback names always may."""
    max_body_bytes: int = Field(default=1024 * 1024, ge=1024, validation_alias="MILLWRIGHT_MAX_BODY_BYTES")
    temporal_ui_url: str | None = Field(default=None, validation_alias="MILLWRIGHT_TEMPORAL_UI_URL")
    """Without it the run page has no link into the Temporal UI."""
    temporal_namespace: str = Field(default="default", validation_alias="TEMPORAL_NAMESPACE")
    """Only for that link."""
    context_model: ModelName | None = Field(default=None, validation_alias="CONTEXT_MODEL")
    retrieval_model: ModelName | None = Field(default=None, validation_alias="RETRIEVAL_MODEL")
    execution_model: ModelName | None = Field(default=None, validation_alias="EXECUTION_MODEL")
    """`provider:model` of a stage, where nothing more particular names one (docs/models.md)."""
    log_level: str = Field(default="INFO", validation_alias="MILLWRIGHT_LOG_LEVEL")
    otlp_endpoint: str | None = Field(default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    failpoints: str | None = Field(default=None, validation_alias="MILLWRIGHT_FAILPOINTS")
    """Campaigns only: a folder in which hits are counted and armed kills lie."""

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def stage_models(self) -> StageModels:
        return StageModels(context=self.context_model, retrieval=self.retrieval_model, execution=self.execution_model)

    @property
    def artifacts(self) -> str:
        return self.artifact_url or (self.state_dir / "artifacts").absolute().as_uri()

    @property
    def secure_cookies(self) -> bool:
        return self.public_url is not None and urlsplit(self.public_url).scheme == "https"

    @property
    def host_names(self) -> frozenset[str]:
        """Names that the Host header may carry: lower case, no port, no brackets."""
        names = {*LOOPBACK_NAMES, *self.allowed_hosts}
        if self.host not in ("0.0.0.0", "::"):
            names.add(self.host)
        if self.public_url:
            names.add(urlsplit(self.public_url).netloc)
        return frozenset(bare_host(name) for name in names)
