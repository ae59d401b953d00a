"""What a worker takes from the environment, read once in __main__."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.models.choice import StageModels
from domain.runs.messages import ModelName
from domain.sandbox.ports import NetworkAccess, ResourceLimits


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
    agent_network: NetworkAccess = Field(default=NetworkAccess.SHARED, validation_alias="MILLWRIGHT_AGENT_NETWORK")
    """Of agents and all that they run; `none`: they reach nothing but, external ones, the gateway."""
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

    sandbox: Literal["auto", "bubblewrap", "guard"] = Field(default="auto", validation_alias="MILLWRIGHT_SANDBOX")
    """Commands under bubblewrap where it works; always, else they are refused; never."""

    command_memory_mb: int | None = Field(default=None, ge=16, validation_alias="MILLWRIGHT_COMMAND_MEMORY_MB")
    """Of all processes of one command together; default: three quarters of the machine's."""
    command_cpu_seconds: float | None = Field(default=None, gt=0, validation_alias="MILLWRIGHT_COMMAND_CPU_SECONDS")
    """Likewise; default: none, since time limits hold."""
    command_processes: int = Field(default=2048, ge=1, validation_alias="MILLWRIGHT_COMMAND_PROCESSES")
    """Processes and threads of one command."""
    command_open_files: int = Field(default=4096, ge=16, validation_alias="MILLWRIGHT_COMMAND_OPEN_FILES")
    """Of one process."""
    command_file_mb: int = Field(default=10_240, ge=1, validation_alias="MILLWRIGHT_COMMAND_FILE_MB")
    """Of one file."""

    @property
    def command_limits(self) -> ResourceLimits:
        return ResourceLimits(
            open_files=self.command_open_files,
            processes=self.command_processes,
            file_bytes=self.command_file_mb * 1024**2,
            memory_bytes=None if self.command_memory_mb is None else self.command_memory_mb * 1024**2,
            cpu_seconds=self.command_cpu_seconds,
        )

    @property
    def sandbox_mode(self) -> Literal["auto", "always", "off"]:
        modes: dict[str, Literal["auto", "always", "off"]] = {"bubblewrap": "always", "guard": "off"}
        return modes.get(self.sandbox, "auto")

    @property
    def artifacts(self) -> str:
        return self.artifact_url or (self.state_dir / "artifacts").absolute().as_uri()
