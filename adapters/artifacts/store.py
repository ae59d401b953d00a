"""The ArtifactStore port over obstore: a local folder, S3, GCS or Azure, chosen by URL.

A body's key is `<organization>/<two digits>/<sha-256>`. It is put in one atomic step (a folder: written aside, then
renamed; a bucket: one request or a multipart upload that is completed last), so a key is there whole or not at all.
Putting a body again rewrites the same bytes, which also heals a damaged one.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit
from uuid import UUID

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, ObjectStore, from_url

from domain.errors import InvalidInput, NotFound, Unavailable

CHUNK_BYTES = 1024 * 1024
"""Least size of the pieces of `stream`."""
RETRY: dict[str, Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=15)}
"""A lost connection to a bucket is tried again at once; everything longer belongs to Temporal."""
TIMEOUTS: dict[str, Any] = {"timeout": timedelta(seconds=60), "connect_timeout": timedelta(seconds=5)}

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TROUBLE = (BaseError, OSError, ValueError)
"""What obstore raises: its own tree, and built-in errors for what the standard library has a name for."""


class ObjectArtifactStore:
    """Implements domain.artifacts.ports.FileArtifactStore."""

    def __init__(self, url: str, *, config: Mapping[str, Any] | None = None) -> None:
        """`config` holds what a bucket needs beyond the URL (endpoint, region), in obstore's names; a bucket's
        credentials come the way its own tools find them. Raises InvalidInput for a URL of no known kind, Unavailable
        for a folder that cannot be made."""
        self._store = _open(url, dict(config or {}))
        self._where = urlsplit(url)._replace(netloc=urlsplit(url).netloc.rpartition("@")[2], query="").geturl()

    async def put(self, org_id: UUID, body: bytes) -> str:
        """Returns the SHA-256 hex. Raises Unavailable when storage is full, forbidden or gone; nothing half-made
        stays behind."""
        sha256 = hashlib.sha256(body).hexdigest()
        try:
            await obstore.put_async(self._store, _key(org_id, sha256), body)
        except _TROUBLE as error:
            self._unavailable("stored", sha256, error)
        return sha256

    async def put_file(self, org_id: UUID, path: Path) -> str:
        """As `put`, in constant memory."""
        sha256 = await asyncio.to_thread(_hash_of, path)
        try:
            await obstore.put_async(self._store, _key(org_id, sha256), path)
        except _TROUBLE as error:
            self._unavailable("stored", sha256, error)
        return sha256

    async def get(self, org_id: UUID, sha256: str, *, start: int = 0, length: int | None = None) -> bytes:
        """The body, or `length` bytes of it from `start` (fewer at its end, none beyond it). Raises NotFound, and
        Unavailable when storage does not answer or gives a body that is not the one asked for."""
        key = _key(org_id, sha256)
        if length == 0:
            return b""
        try:
            if start == 0 and length is None:
                body = bytes(await (await obstore.get_async(self._store, key)).bytes_async())
            else:
                # asked before: a range beyond the end is an error of a different kind in each store
                size = (await obstore.head_async(self._store, key))["size"]
                end = size if length is None else min(size, start + length)
                if start >= end:
                    return b""
                return bytes(await obstore.get_range_async(self._store, key, start=start, end=end))
        except FileNotFoundError:
            raise _not_found(sha256) from None
        except _TROUBLE as error:
            self._unavailable("read", sha256, error)
        if hashlib.sha256(body).hexdigest() != sha256:
            raise Unavailable(
                f"The artifact {sha256} in {self._where} is damaged: its content has another hash.",
                hint="Restore it from a backup, or retry the phase that made it.",
            )
        return body

    async def stream(self, org_id: UUID, sha256: str) -> AsyncIterator[bytes]:
        """The body in pieces, in constant memory. Raises as `get`, but a damaged body is not noticed."""
        key = _key(org_id, sha256)
        try:
            found = await obstore.get_async(self._store, key)
            async for piece in found.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(piece)
        except FileNotFoundError:
            raise _not_found(sha256) from None
        except _TROUBLE as error:
            self._unavailable("read", sha256, error)

    def _unavailable(self, what: str, sha256: str, error: Exception) -> NoReturn:
        # the first line says it; what follows is a dump of obstore's own structures
        why = str(error).partition("\n")[0][:300]
        if isinstance(error, PermissionError | PermissionDeniedError | UnauthenticatedError):
            hint = "Give the worker's user or credential the right to read and write there."
        elif "No space left" in why or "quota" in why.lower():
            hint = "Free some space there; what waits goes on by itself."
        else:
            hint = "Check that the storage is reachable from here (MILLWRIGHT_ARTIFACT_URL)."
        raise Unavailable(f"The artifact {sha256} could not be {what} in {self._where}: {why}", hint=hint) from error


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(url: str, config: dict[str, Any]) -> ObjectStore:
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        folder = Path(unquote(parts.path))
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return LocalStore(folder)
        except _TROUBLE as error:
            raise Unavailable(
                f"The artifact folder {folder} cannot be used: {str(error).partition(chr(10))[0]}",
                hint="Choose another folder with MILLWRIGHT_ARTIFACT_URL, or make this one writable.",
            ) from error
    try:
        if parts.scheme in ("", "file", "http", "memory"):
            raise ValueError(f"{parts.scheme or 'no'} scheme")
        # an endpoint that is written with http:// is one's own (MinIO on the same host), and meant so
        client = TIMEOUTS | {"allow_http": str(config.get("endpoint", "")).startswith("http://")}
        return from_url(url, config=config or None, client_options=client, retry_config=RETRY)  # type: ignore[call-overload, no-any-return]
    except _TROUBLE as error:
        raise InvalidInput(
            f"No artifact storage is known by the URL {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}.",
            hint="Write file:///folder, s3://bucket/prefix, gs://bucket/prefix or az://account/container/prefix.",
            field="MILLWRIGHT_ARTIFACT_URL",
        ) from error


def _key(org_id: UUID, sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise NotFound(
            f"{sha256[:80]!r} is no artifact: its name is 64 hexadecimal digits.", hint="The run lists its own."
        )
    return f"{org_id}/{sha256[:2]}/{sha256}"


def _not_found(sha256: str) -> NotFound:
    return NotFound(
        f"The artifact {sha256} does not exist.", hint="It may have been pruned by the organization's retention."
    )
