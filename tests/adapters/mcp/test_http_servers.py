"""Servers at an address: the SDK's own and hand-written ones, over real sockets."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from domain.agents.tools import McpServer
from domain.errors import PhaseFailure
from domain.runs.failure import ErrorKind
from tests.adapters.mcp.conftest import Place, listening
from tests.adapters.mcp.servers.sdk_server import make


class Seen:
    """In front of an application: keeps the headers of each request, and refuses what has not the token."""

    def __init__(self, application: Any, token: str | None = None) -> None:
        self.application = application
        self.token = token
        self.headers: list[dict[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            self.headers.append(headers)
            if self.token is not None and headers.get("authorization") != f"Bearer {self.token}":
                await answer(send, 401, b"who are you?", "text/plain")
                return
        await self.application(scope, receive, send)


async def answer(send: Any, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
    named = [(b"content-type", kind.encode()), *((n.encode(), v.encode()) for n, v in headers.items())]
    await send({"type": "http.response.start", "status": status, "headers": named})
    await send({"type": "http.response.body", "body": body})


class ByHand:
    """A server of the 2025 versions with JSON answers; `calls` says what a call of its one tool does."""

    def __init__(self, calls: Any) -> None:
        self.calls = calls

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for word in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{word}.complete"})
            return
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        message = json.loads(body) if body else {}
        match message.get("method"):
            case "initialize":
                info = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                        "serverInfo": {"name": "hand", "version": "1"}}  # fmt: skip
                await answer(send, 200, result(message, info))
            case "tools/list":
                tool = {"name": "ask", "inputSchema": {"type": "object"}}
                await answer(send, 200, result(message, {"tools": [tool]}))
            case "tools/call":
                await self.calls(message, send)
            case str() if "id" in message:
                error = {"code": -32601, "message": "Method not found"}
                await answer(send, 200, json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}).encode())
            case str():
                await answer(send, 202, b"")
            case _:
                await answer(send, 405, b"")


def result(message: Any, value: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": value}).encode()


def text_result(message: Any, text: str) -> bytes:
    return result(message, {"content": [{"type": "text", "text": text}]})


def at(url: str, **headers: str) -> McpServer:
    return McpServer(name="remote", url=f"{url}/mcp", headers={n.replace("_", "-"): v for n, v in headers.items()})


@pytest.mark.parametrize("form", [{}, {"json_response": True}, {"stateless_http": True}])
async def test_a_server_of_the_sdk_is_used_over_http(place: Place, form: dict[str, Any]) -> None:
    async with listening(make().streamable_http_app(**form)) as url, place.box(at(url)) as box:
        assert "remote__add" in {spec.name for spec in box.specs}
        outcome = await box.call("remote__add", {"a": 2, "b": 3})
        assert (outcome.text, outcome.is_error) == ("5", False)
        failed = await box.call("remote__fail", {"why": "no luck"})
        assert failed.is_error and "no luck" in failed.text


async def test_headers_carry_secrets_that_nobody_else_sees(place: Place) -> None:
    place.environment["REMOTE_TOKEN"] = "s3cr3t-of-the-remote-server"
    seen = Seen(make().streamable_http_app(), token="s3cr3t-of-the-remote-server")
    async with listening(seen) as url:
        server = at(url, Authorization="Bearer env:REMOTE_TOKEN", X_Team="blue")
        assert "s3cr3t" not in server.model_dump_json()
        async with place.box(server) as box:
            assert (await box.call("remote__add", {"a": 1, "b": 1})).text == "2"
            told = await box.call("remote__fail", {"why": "your token s3cr3t-of-the-remote-server is fine"})
    assert "s3cr3t" not in told.text and "[redacted]" in told.text
    assert all(headers["x-team"] == "blue" for headers in seen.headers)


WORKER = """
import asyncio, sys
from pathlib import Path
from adapters.telemetry import logs
from domain.agents.tools import McpServer
from tests.adapters.mcp.conftest import Place

async def main():
    place = Place(Path(sys.argv[1]))
    logs.configure("INFO", sys.stdout, place.redactor)
    async with place.box(McpServer(name="remote", url=sys.argv[2])) as box:
        assert (await box.call("remote__add", {"a": 1, "b": 1})).text == "2"
    print("used")

asyncio.run(main())
"""


async def test_neither_addresses_nor_sessions_are_in_the_log_of_a_worker(place: Place) -> None:
    async with listening(make().streamable_http_app()) as url:
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, str(place.worktree), f"{url}/mcp?team=blue",
            cwd=Path(__file__).resolve().parents[3], stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await worker.communicate()
    assert said.decode().splitlines() == ["used"]


async def _well(message: Any, send: Any) -> None:
    await answer(send, 200, text_result(message, "well"))


async def test_a_secret_that_is_missing_fails_the_start_before_anything_is_sent(place: Place) -> None:
    seen = Seen(make().streamable_http_app())
    async with listening(seen) as url:
        with pytest.raises(PhaseFailure) as caught:
            async with place.box(at(url, Authorization="Bearer env:REMOTE_TOKEN")):
                raise AssertionError("it must not open")
    assert caught.value.error.kind is ErrorKind.MISSING_CREDENTIAL
    assert "`remote`" in caught.value.error.message and "env:REMOTE_TOKEN" in caught.value.error.message
    assert seen.headers == []


async def test_a_refused_token_is_an_authentication_failure_that_names_the_server(place: Place) -> None:
    async with listening(Seen(make().streamable_http_app(), token="right")) as url:
        with pytest.raises(PhaseFailure) as caught:
            async with place.box(at(url, Authorization="Bearer wrong")):
                raise AssertionError("it must not open")
    assert caught.value.error.kind is ErrorKind.AUTHENTICATION
    assert "`remote`" in caught.value.error.message and caught.value.error.hint


async def test_an_address_where_nobody_listens_is_a_connection_failure(place: Place) -> None:
    async with listening(make().streamable_http_app()) as url:
        pass
    with pytest.raises(PhaseFailure) as caught:
        async with place.box(at(url)):
            raise AssertionError("it must not open")
    assert caught.value.error.kind is ErrorKind.CONNECTION
    assert "`remote`" in caught.value.error.message


async def test_a_server_that_accepts_and_says_nothing_is_given_up_at_its_start(place: Place) -> None:
    async def mute(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(3600)

    async with listening(mute) as url:
        with pytest.raises(PhaseFailure) as caught:
            async with place.box(at(url), start_seconds=1.0):
                raise AssertionError("it must not open")
    assert caught.value.error.kind is ErrorKind.TIMEOUT


async def test_a_call_that_hangs_is_an_error_within_its_limit_and_the_next_one_works(place: Place) -> None:
    hanging = True

    async def calls(message: Any, send: Any) -> None:
        if hanging:
            await asyncio.sleep(3600)
        await answer(send, 200, text_result(message, "here"))

    async with listening(ByHand(calls)) as url, place.box(at(url), limit_seconds=1.0) as box:
        late = await box.call("remote__ask", {})
        assert late.is_error and "within 1 s" in late.text and "not known" in late.text
        hanging = False
        assert (await box.call("remote__ask", {})).text == "here"


async def test_what_breaks_a_call_is_told_and_the_server_is_asked_anew(place: Place) -> None:
    async def packed(message: Any, send: Any) -> None:
        await answer(send, 200, b"\x1f\x8b", **{"content-encoding": "gzip"})

    async def endless(message: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        while True:
            await send({"type": "http.response.body", "body": b" " * 65536, "more_body": True})
            await asyncio.sleep(0)

    async def no_json(message: Any, send: Any) -> None:
        await answer(send, 200, b'{"jsonrpc": "2.0", "id": 1, "result": {{{')

    async def refused(message: Any, send: Any) -> None:
        await answer(send, 500, b"oh no", "text/plain")

    for way in (packed, endless, no_json, refused):
        server = ByHand(way)
        async with listening(server) as url, place.box(at(url), limit_seconds=30.0) as box:
            outcome = await box.call("remote__ask", {})
            assert outcome.is_error and "`remote`" in outcome.text, way
            server.calls = _well
            assert (await box.call("remote__ask", {})).text == "well", way


async def test_a_redirect_to_another_origin_is_not_followed(place: Place) -> None:
    place.environment["REMOTE_TOKEN"] = "s3cr3t-of-the-remote-server"
    other = Seen(make().streamable_http_app())
    async with listening(other) as elsewhere:

        async def away(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                await answer(send, 307, b"", location=f"{elsewhere}/mcp")

        async with listening(away) as url:
            with pytest.raises(PhaseFailure) as caught:
                async with place.box(at(url, Authorization="Bearer env:REMOTE_TOKEN")):
                    raise AssertionError("it must not open")
    assert "edirect" in caught.value.error.message
    assert other.headers == []
