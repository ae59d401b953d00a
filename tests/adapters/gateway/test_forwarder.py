"""The forwarder: a command that has no network but its own loopback reaches the gateway through the socket."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys

import pytest

from adapters.gateway.server import FORWARDER, GatewaySockets, gateway_sockets
from tests.adapters.gateway.test_passed_on import COMPLETION, DONE, LAST_USAGE, chunk
from tests.support.gateways import Served
from tests.support.raw_upstream import Pieces, RawUpstream

ASK = """
import json, os, sys, urllib.request
body = json.dumps({"model": "millwright", "stream": sys.argv[2] == "stream", "messages": []}).encode()
headers = {"authorization": "Bearer " + os.environ["TOKEN"], "content-type": "application/json"}
request = urllib.request.Request(sys.argv[1] + "/chat/completions", data=body, headers=headers)
sys.stdout.write(urllib.request.urlopen(request).read().decode())
"""


def moved(forwarder: tuple[str, ...], port: int) -> list[str]:
    """The same, on a port that is free outside of a namespace."""
    found = list(forwarder)
    found[found.index("--port") + 1] = str(port)
    return found


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def run(*argv: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *argv, env=env or {}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.parametrize("mode", ["whole", "stream"])
async def test_a_command_asks_through_the_socket(serving: Served, upstream: RawUpstream, mode: str) -> None:
    told = chunk({"content": "hello"}) + chunk({}, "stop") + LAST_USAGE + DONE
    upstream.answer = lambda got: Pieces.dripped(told) if got.body["stream"] else Pieces.json(COMPLETION)
    port = a_free_port()
    async with serving.access("openai:gpt-5") as access:
        argv = [*moved(access.forwarder, port), sys.executable, "-c", ASK, f"http://127.0.0.1:{port}/openai/v1", mode]
        code, out, err = await run(*argv, env={"TOKEN": access.token})
    assert (code, err) == (0, "")
    assert out.endswith("[DONE]\n\n") if mode == "stream" else json.loads(out) == COMPLETION
    assert serving.steps("status") == [("done",)]


async def test_the_forwarder_becomes_the_command(serving: Served) -> None:
    """Its process, its exit code, its output and nothing else of ours; the forwarding child goes with it."""
    script = "import os, sys; print(os.getpid(), sorted(os.listdir('/proc/self/fd'))[:4]); sys.exit(7)"
    async with serving.access("openai:gpt-5") as access:
        argv = moved(access.forwarder, a_free_port())
        process = await asyncio.create_subprocess_exec(
            *argv, sys.executable, "-c", script, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        out, _ = await asyncio.wait_for(process.communicate(), 30)
    pid, _, descriptors = out.decode().strip().partition(" ")
    assert (int(pid), process.returncode) == (process.pid, 7)
    assert descriptors == "['0', '1', '2', '3']", "the last one is the listing itself"


async def test_what_cannot_be_started_and_a_taken_port_are_said(serving: Served) -> None:
    async with serving.access("openai:gpt-5") as access:
        code, _, err = await run(*moved(access.forwarder, a_free_port()), "/no/such/agent")
        assert code == 127 and "/no/such/agent cannot be started" in err
        code, _, err = await run(*access.forwarder, "true")
        assert code == 126 and "cannot be opened in this network namespace" in err


@pytest.mark.skipif(shutil.which("unshare") is None or sys.platform != "linux", reason="no network namespaces here")
async def test_inside_a_network_namespace_the_same_address_holds(serving: Served, upstream: RawUpstream) -> None:
    namespace = ["unshare", "--user", "--map-root-user", "--net", "--"]
    path = {"PATH": os.defpath}
    code, _, _ = await run(*namespace, "true", env=path)
    if code != 0:
        pytest.skip("this machine lets nobody make a network namespace")
    upstream.answer = lambda _: Pieces.json(COMPLETION)
    async with serving.access("openai:gpt-5") as access:
        url = access.base_url_openai
        asking = [sys.executable, "-c", ASK, url, "whole"]
        up = ["sh", "-c", f'{sys.executable} -c "{LOOPBACK_UP}" && exec "$@"', "sh"]
        env = path | {"TOKEN": access.token}
        alone, _, _ = await run(*namespace, *up, *asking, env=env)
        assert alone != 0, "without the forwarder nobody is there"
        code, out, err = await run(*namespace, *up, *access.forwarder, *asking, env=env)
    assert (code, err) == (0, "") and json.loads(out) == COMPLETION


LOOPBACK_UP = (
    "import fcntl, socket, struct;"
    "fcntl.ioctl(socket.socket(socket.AF_INET), 0x8914, struct.pack('16sH14s', b'lo', 1 | 64, b''))"
)
"""SIOCSIFFLAGS: bubblewrap does the same for its own namespaces."""


def test_the_forwarder_needs_nothing_but_the_standard_library() -> None:
    done = subprocess.run([sys.executable, "-I", "-S", str(FORWARDER), "--help"], capture_output=True, check=False)
    assert done.returncode == 0 and b"--socket" in done.stdout


def test_the_socket_is_for_everyone_who_knows_it_and_goes_with_the_gateway() -> None:
    with gateway_sockets(0) as sockets:
        path = sockets.address.socket
        assert path is not None and len(str(path)) < 100
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o666, 0o711)
        assert sockets.address.base_url_openai == f"http://127.0.0.1:{sockets.port}/openai/v1"
    assert not path.parent.exists()


def test_a_socket_that_a_killed_gateway_left_is_cleared_away_and_a_living_one_stays() -> None:
    living, dead = GatewaySockets(0), GatewaySockets(0)
    dead.tcp.close()
    dead.unix.close()
    assert dead.address.socket is not None and dead.address.socket.exists()
    with gateway_sockets(0):
        assert not dead.address.socket.parent.exists()
        assert living.address.socket is not None and living.address.socket.exists()
    living.close()
