"""The port of the artifact store: bodies by content, shared by all workers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol
from uuid import UUID


class ArtifactStore(Protocol):
    """Bodies live under their organization and SHA-256; the same body twice is one object."""

    async def put(self, org_id: UUID, body: bytes) -> str:
        """Returns the SHA-256 hex. Raises Unavailable when storage is full or gone."""
        ...

    async def get(self, org_id: UUID, sha256: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Raises NotFound."""
        ...

    def stream(self, org_id: UUID, sha256: str) -> AsyncIterator[bytes]: ...


class FileArtifactStore(ArtifactStore, Protocol):
    """For bodies of any size, in constant memory."""

    async def put_file(self, org_id: UUID, path: Path) -> str:
        """As `put`, with the content of a file."""
        ...
