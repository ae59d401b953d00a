"""Bodies that only the API knows; everything else is a read model or a message of domain."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from domain.agents.mcp_servers import MOST_SERVERS
from domain.agents.tools import McpServer
from domain.runs.messages import ModelName, RunStart
from domain.runs.words import RequestStatus

FIX_DATES: dict[str, JsonValue] = {
    "task": "Fix the date parser",
    "repo": "/home/me/project",
    "settings": {"model": "openai:gpt-5-mini"},
}


class StartBody(RunStart):
    """A run to start, as `temporal workflow start --type Run` takes it too; optionally with its pipeline."""

    model_config = ConfigDict(json_schema_extra={"examples": [FIX_DATES]})

    pipeline_yaml: str | None = Field(
        default=None, max_length=500_000, description="A pipeline document: published first, then run."
    )
    prompts: dict[str, str] = Field(default={}, description="Its prompt files: path as the document names it -> text.")

    @property
    def start(self) -> RunStart:
        return RunStart.model_validate(self.model_dump(exclude={"pipeline_yaml", "prompts"}))


class Accepted(BaseModel):
    """Recorded; the relay brings it to Temporal, also after a restart."""

    run_id: UUID
    request_id: UUID
    status: RequestStatus = RequestStatus.RECORDED
    page: str = Field(description="Address of the run's page.")
    repeated: bool = Field(default=False, description="This Idempotency-Key was used before: nothing new was recorded.")
    warnings: tuple[str, ...] = Field(default=(), description="Said, not refused: a dirty or detached checkout.")


class CancelBody(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "wrong branch"}]})

    reason: str = Field(default="", max_length=4_000)


class PublishBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    yaml: str = Field(max_length=500_000)
    prompts: dict[str, str] = {}


TICKETS: dict[str, JsonValue] = {
    "mcp_servers": [
        {"name": "tickets", "url": "http://127.0.0.1:9000/mcp", "headers": {"Authorization": "Bearer env:TICKETS"}},
        {"name": "docs", "command": ["docs-server", "--stdio"], "unsafe": False},
    ],
    "models": {"context": "openai:gpt-5-nano", "default": "openai:gpt-5-mini"},
}


class WorkspacePatch(BaseModel):
    """What is given is changed, what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [TICKETS]})

    mcp_servers: tuple[McpServer, ...] | None = Field(
        default=None, max_length=MOST_SERVERS, description="All servers of tools that its agents may use."
    )
    models: dict[str, ModelName] | None = Field(
        default=None,
        max_length=100,
        description="All models that it chooses: by role or stage, `default` for every other one.",
    )


class PipelineSummary(BaseModel):
    name: str
    content_hash: str
    description: str
    phases: tuple[str, ...]
