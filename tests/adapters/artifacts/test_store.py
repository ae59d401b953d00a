"""The artifact store on a real folder, on a real small disk, and on a bucket behind a real socket."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from uuid import UUID

import pytest

from adapters.artifacts.store import CHUNK_BYTES, ObjectArtifactStore
from domain.errors import InvalidInput, NotFound, Unavailable

ORG, OTHER = UUID(int=1), UUID(int=2)


class Bucket(ThreadingHTTPServer):
    """As much of S3 as the store uses: PUT, GET with range, HEAD."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _BucketRequest)
        self.bodies: dict[str, bytes] = {}
        self.answer_with: int | None = None


class _BucketRequest(BaseHTTPRequestHandler):
    server: Bucket
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self._refused():
            return
        self.server.bodies[self.path] = body
        self._answer(200, b"", etag=True)

    def do_GET(self) -> None:
        if self._refused():
            return
        body = self.server.bodies.get(self.path)
        if body is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        elif wanted := self.headers.get("range"):
            first, last = map(int, wanted.removeprefix("bytes=").split("-"))
            part = body[first : last + 1]
            self._answer(206, part, etag=True, range_=f"bytes {first}-{first + len(part) - 1}/{len(body)}")
        else:
            self._answer(200, body, etag=True)

    do_HEAD = do_GET

    def _refused(self) -> bool:
        status = self.server.answer_with  # read once: who has the answer may change it
        if status is not None:
            self._answer(status, b"<Error><Code>Refused</Code></Error>")
        return status is not None

    def _answer(self, status: int, body: bytes, *, etag: bool = False, range_: str = "") -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        if etag:
            self.send_header("etag", '"1"')
            self.send_header("last-modified", "Fri, 01 Jan 2027 00:00:00 GMT")
        if range_:
            self.send_header("content-range", range_)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with Bucket() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def bucket_store(bucket: Bucket) -> ObjectArtifactStore:
    return ObjectArtifactStore(
        "s3://bucket/prefix",
        config={
            "endpoint": f"http://127.0.0.1:{bucket.server_port}",
            "region": "us-east-1",
            "access_key_id": "id",
            "secret_access_key": "planted-secret",
        },
    )


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectArtifactStore:
    if request.param == "bucket":
        return bucket_store(request.getfixturevalue("bucket"))
    return ObjectArtifactStore((tmp_path / "a folder" / "artifacts").as_uri())


@pytest.mark.parametrize("body", [b"", b"text", bytes(range(256)) * 20_000], ids=["empty", "small", "5 MB"])
async def test_what_is_put_comes_back(store: ObjectArtifactStore, body: bytes) -> None:
    sha256 = await store.put(ORG, body)
    assert sha256 == hashlib.sha256(body).hexdigest()
    assert await store.put(ORG, body) == sha256
    assert await store.get(ORG, sha256) == body
    assert b"".join([piece async for piece in store.stream(ORG, sha256)]) == body


async def test_a_file_is_put_as_its_content(store: ObjectArtifactStore, tmp_path: Path) -> None:
    body = b"0123456789abcdef" * 200_000
    path = tmp_path / "a file"
    path.write_bytes(body)
    sha256 = await store.put_file(ORG, path)
    assert sha256 == hashlib.sha256(body).hexdigest()
    assert await store.get(ORG, sha256) == body
    assert path.exists()


async def test_ranges(store: ObjectArtifactStore) -> None:
    sha256 = await store.put(ORG, b"0123456789")
    assert await store.get(ORG, sha256, start=3, length=4) == b"3456"
    assert await store.get(ORG, sha256, start=7) == b"789"
    assert await store.get(ORG, sha256, start=7, length=100) == b"789"
    assert await store.get(ORG, sha256, length=2) == b"01"
    assert await store.get(ORG, sha256, start=10) == await store.get(ORG, sha256, start=99, length=1) == b""
    assert await store.get(ORG, sha256, length=0) == b""


async def test_a_big_body_streams_in_pieces(store: ObjectArtifactStore) -> None:
    body = os.urandom(3 * CHUNK_BYTES + 1)
    pieces = [len(piece) async for piece in store.stream(ORG, await store.put(ORG, body))]
    assert sum(pieces) == len(body)
    assert len(pieces) > 1


@pytest.mark.parametrize("name", ["0" * 64, "../../etc/passwd", "", "A" * 64, "0" * 63])
async def test_what_is_not_there_is_not_found(store: ObjectArtifactStore, name: str) -> None:
    with pytest.raises(NotFound):
        await store.get(ORG, name)
    with pytest.raises(NotFound):
        await store.get(ORG, name, start=1, length=1)
    with pytest.raises(NotFound):
        _ = [piece async for piece in store.stream(ORG, name)]


async def test_an_organization_does_not_see_the_bodies_of_another(store: ObjectArtifactStore) -> None:
    sha256 = await store.put(ORG, b"ours")
    with pytest.raises(NotFound):
        await store.get(OTHER, sha256)


async def test_a_damaged_body_is_noticed_and_healed_by_putting_it_again(tmp_path: Path) -> None:
    store = ObjectArtifactStore(tmp_path.as_uri())
    sha256 = await store.put(ORG, b"right")
    [path] = [path for path in tmp_path.rglob("*") if path.is_file()]
    path.write_bytes(b"wrong")
    with pytest.raises(Unavailable, match="damaged"):
        await store.get(ORG, sha256)
    await store.put(ORG, b"right")
    assert await store.get(ORG, sha256) == b"right"


async def test_the_folder_is_private(tmp_path: Path) -> None:
    ObjectArtifactStore((tmp_path / "artifacts").as_uri())
    assert (tmp_path / "artifacts").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "url",
    ["", "relative/path", "ftp://host/path", "file:relative", "file://host/path", "memory:///", "http://u:planted@h/"],
)
def test_a_url_of_no_known_storage_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ObjectArtifactStore(url)
    assert "s3://" in caught.value.hint
    assert "planted" not in caught.value.message


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="file/artifacts"):
        ObjectArtifactStore((tmp_path / "file" / "artifacts").as_uri())


@pytest.mark.parametrize("status", [403, 503])
async def test_a_bucket_that_refuses_is_unavailable(bucket: Bucket, status: int) -> None:
    store = bucket_store(bucket)
    bucket.answer_with = status
    with pytest.raises(Unavailable) as caught:
        await store.put(ORG, b"body")
    assert "s3://bucket/prefix" in caught.value.message
    assert caught.value.hint
    assert "planted" not in caught.value.message + caught.value.hint
    bucket.answer_with = None
    assert await store.get(ORG, await store.put(ORG, b"body")) == b"body"


async def test_a_bucket_that_is_gone_is_unavailable(bucket: Bucket) -> None:
    store = bucket_store(bucket)
    bucket.server_close()
    with pytest.raises(Unavailable):
        await store.put(ORG, b"body")


FULL_DISK = """
import asyncio, os, sys
from pathlib import Path
from uuid import UUID
from adapters.artifacts.store import ObjectArtifactStore
from domain.errors import Unavailable

async def main():
    folder = Path(sys.argv[1])
    store = ObjectArtifactStore((folder / "artifacts").as_uri())
    kept = await store.put(UUID(int=1), b"kept")
    try:
        await store.put(UUID(int=1), os.urandom(5_000_000))
    except Unavailable as error:
        print(error.message, "|", error.hint)
    else:
        print("it fitted")
    print([path.name == kept for path in folder.rglob("*") if path.is_file()])
    print((await store.get(UUID(int=1), kept)).decode())
    await store.put(UUID(int=1), os.urandom(10_000))

asyncio.run(main())
sys.stdout.flush()
os._exit(0)  # the store's own threads may abort the interpreter's winding up
"""


def _on_a_small_disk(prefix: list[str], folder: Path) -> list[str]:
    done = subprocess.run(
        [*prefix, sys.executable, "-c", FULL_DISK, str(folder)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[3], timeout=120,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_a_full_disk_leaves_nothing_half_made(tmp_path: Path) -> None:
    """A file system of its own, one megabyte large, in a mount namespace that ends with the process."""
    mounted = ["unshare", "--mount", "--map-root-user", "sh", "-c", 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"']
    mounted.append(str(tmp_path))
    if subprocess.run([*mounted, "true"], capture_output=True).returncode != 0:
        pytest.skip("no small file system can be mounted here: namespaces are refused, as bubblewrap would find too")
    said, left, kept = _on_a_small_disk(mounted, tmp_path)
    assert "No space left on device" in said
    assert "Free some space" in said
    assert (left, kept) == ("[True]", "kept")


def test_a_file_size_limit_leaves_nothing_half_made(tmp_path: Path) -> None:
    said, left, kept = _on_a_small_disk(["sh", "-c", 'trap "" XFSZ; ulimit -f 1000; exec "$@"', "sh"], tmp_path)
    assert "could not be stored" in said
    assert (left, kept) == ("[True]", "kept")
