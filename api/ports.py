"""What the API needs of the record. adapters/store satisfies it; api/wiring.py puts the two together."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from domain.agents.tools import McpServer
from domain.identity.principal import Principal
from domain.models.policy import Policy
from domain.pipelines.spec import Pipeline
from domain.runs.messages import RunStart
from domain.runs.ports import WorkspaceFacts
from domain.runs.recorded import RecordedCancel, RecordedRun
from domain.runs.views import ChunkView, EventView, MetricsSnapshot, PoolView, RunFilter, RunPage, RunView
from domain.workspaces.ports import Base


class Accounts(Protocol):
    """Who asks. None: no such key, session or password."""

    async def by_api_key(self, key: str) -> Principal | None: ...

    async def by_session(self, token: str) -> Principal | None: ...

    async def log_in(self, login: str, password: str) -> tuple[str, Principal] | None:
        """A new session's token with its principal."""
        ...

    async def log_out(self, token: str) -> None: ...


class Views(Protocol):
    """What people read. Every method but `metrics` sees one organization; NotFound for what is another's."""

    async def list_runs(
        self, org_id: UUID, chosen: RunFilter, *, limit: int, offset: int = 0, cursor: str | None = None
    ) -> RunPage: ...

    async def run(self, org_id: UUID, run_id: UUID) -> RunView: ...

    async def events(self, org_id: UUID, run_id: UUID, *, after: int, limit: int) -> Sequence[EventView]: ...

    async def chunks(self, org_id: UUID, run_id: UUID, *, after: tuple[int, int], limit: int) -> Sequence[ChunkView]:
        """Chunks behind (execution ordinal, sequence), in that order."""
        ...

    async def pools(self, org_id: UUID) -> Sequence[PoolView]: ...

    async def metrics(self) -> MetricsSnapshot: ...


class Wakeup(Protocol):
    """One viewer's flag: "look again", never what happened. Any number of notes becomes one."""

    async def wait(self, timeout_seconds: float) -> None: ...


class Wakeups(Protocol):
    """The process's one LISTEN connection."""

    def of_run(self, run_id: UUID) -> AbstractAsyncContextManager[Wakeup]: ...


class Catalogue(Protocol):
    """What an organization has set up."""

    async def pipelines(self, org_id: UUID) -> Sequence[Pipeline]:
        """The newest version of each, by name."""
        ...

    async def pipeline(self, org_id: UUID, name: str) -> Pipeline | None:
        """By name (the newest version) or `name@hash`."""
        ...

    async def publish(self, org_id: UUID, pipeline: Pipeline) -> None:
        """The same content twice is one version."""
        ...

    async def workspaces(self, org_id: UUID) -> Sequence[WorkspaceFacts]: ...

    async def workspace(self, org_id: UUID, start: RunStart) -> WorkspaceFacts | None:
        """The one that a start names by name, id or repository; None when it is new."""
        ...

    async def workspace_named(self, org_id: UUID, name_or_id: str) -> WorkspaceFacts | None: ...

    async def set_mcp_servers(
        self, org_id: UUID, name_or_id: str, servers: Sequence[McpServer]
    ) -> WorkspaceFacts | None:
        """Its servers of tools are these and no others from now on. None: there is no such workspace."""
        ...

    async def set_models(self, org_id: UUID, name_or_id: str, models: Mapping[str, str]) -> WorkspaceFacts | None:
        """Its models of roles and stages are these and no others from now on. None: there is no such workspace."""
        ...

    async def policy(self, org_id: UUID) -> Policy: ...


class Requests(Protocol):
    """Whatever is asked of a run: a row first, in one transaction with its event and its delivery."""

    async def create_run(
        self, start: RunStart, base: Base | None, *, actor: str, idempotency_key: str | None = None
    ) -> RecordedRun:
        """Raises InvalidInput, NotFound (nothing was written), Conflict (the key with another start)."""
        ...

    async def cancel_run(
        self, org_id: UUID, run_id: UUID, *, actor: str, reason: str = "", idempotency_key: str | None = None
    ) -> RecordedCancel:
        """Raises NotFound, Conflict (the run has ended, or the key was used for something else)."""
        ...
