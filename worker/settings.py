"""What a worker takes from the environment, read once in __main__."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.models.choice import StageModels
from domain.runs.messages import ModelName


class WorkerSettings(BaseSettings):
    """TEMPORAL_* is read by temporalio's own configuration, OTEL_* by OpenTelemetry's names."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: str = Field(validation_alias="DATABASE_URL")
    state_dir: Path = Field(validation_alias="MILLWRIGHT_STATE_DIR")
    artifact_url: str | None = Field(default=None, validation_alias="MILLWRIGHT_ARTIFACT_URL")
    """Shared by all workers; default: a folder in the state folder."""
    metrics_port: int = Field(default=0, ge=0, le=65_535, validation_alias="MILLWRIGHT_WORKER_METRICS_PORT")
    gateway_port: int = Field(default=0, ge=0, le=65_535, validation_alias="MILLWRIGHT_GATEWAY_PORT")
    """Loopback port for external agents; 0: a free one."""
    heartbeat_seconds: float = Field(default=30.0, ge=1, le=300, validation_alias="MILLWRIGHT_HEARTBEAT_SECONDS")
    phase_slots: int = Field(default=8, ge=1, le=500, validation_alias="MILLWRIGHT_PHASE_SLOTS")
    """Phases that this worker runs at once."""
    cached_workflows: int = Field(default=500, ge=0, validation_alias="MILLWRIGHT_CACHED_WORKFLOWS")
    context_model: ModelName | None = Field(default=None, validation_alias="CONTEXT_MODEL")
    retrieval_model: ModelName | None = Field(default=None, validation_alias="RETRIEVAL_MODEL")
    execution_model: ModelName | None = Field(default=None, validation_alias="EXECUTION_MODEL")
    """`provider:model` of a stage, where nothing more particular names one (docs/models.md)."""
    log_level: str = Field(default="INFO", validation_alias="MILLWRIGHT_LOG_LEVEL")
    otlp_endpoint: str | None = Field(default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    failpoints: str | None = Field(default=None, validation_alias="MILLWRIGHT_FAILPOINTS")
    """Campaigns only: a folder in which hits are counted and armed kills lie."""
    drain_seconds: float = Field(default=10.0, ge=0, validation_alias="MILLWRIGHT_DRAIN_SECONDS")
    """After SIGTERM running phases have this long to end."""

    @property
    def stage_models(self) -> StageModels:
        return StageModels(context=self.context_model, retrieval=self.retrieval_model, execution=self.execution_model)

    @property
    def artifacts(self) -> str:
        return self.artifact_url or (self.state_dir / "artifacts").absolute().as_uri()
    sandbox: Literal["auto", "bubblewrap", "guard"] = Field(default="auto", validation_alias="MILLWRIGHT_SANDBOX")
    """Commands under bubblewrap where it works; always, else they are refused; never."""

    @property
    def sandbox_mode(self) -> Literal["auto", "always", "off"]:
        modes: dict[str, Literal["auto", "always", "off"]] = {"bubblewrap": "always", "guard": "off"}
        return modes.get(self.sandbox, "auto")

