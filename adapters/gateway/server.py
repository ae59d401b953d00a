"""Where the gateway listens: a loopback port, and a Unix socket for commands that have no network of their own."""

import asyncio
import functools
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from adapters.gateway.app import GatewayApp
from adapters.gateway.incoming import ANTHROPIC, OPENAI
from domain.errors import Unavailable
from domain.gateway.ports import GatewayAddress

FORWARDER = Path(__file__).with_name("forwarder.py")
_BACKLOG = 1_024
_FOLDERS = "millwright-gateway-"
_LAST_SECONDS = 2
"""For answers that are on their way when the server ends; their calls have ended before."""
_IDLE_SECONDS = 75


class GatewaySockets:
    """Bound and listening; served by `serving`. `address` says where."""

    def __init__(self, port: int) -> None:
        """`port` 0: a free one. Raises Unavailable when it is taken."""
        _clear_dead()
        self.tcp = socket.socket(socket.AF_INET)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.tcp.bind(("127.0.0.1", port))
            self.tcp.listen(_BACKLOG)
        except OSError as error:
            self.tcp.close()
            raise Unavailable(
                f"The gateway cannot listen on port {port}: {error.strerror}.",
                hint="Set MILLWRIGHT_GATEWAY_PORT to a free port, or to 0.",
            ) from None
        self._folder = Path(tempfile.mkdtemp(prefix=_FOLDERS))
        self._folder.chmod(0o711)  # commands run as other users; the token is what lets them in
        path = self._folder / "socket"
        self.unix = socket.socket(socket.AF_UNIX)
        try:
            self.unix.bind(str(path))
        except OSError as error:
            self.close()
            raise Unavailable(
                f"The gateway cannot make its socket {path}: {error.strerror or error}.",
                hint="Let TMPDIR name a folder with a short path that the worker may write.",
            ) from None
        path.chmod(0o666)
        self.unix.listen(_BACKLOG)
        self.port: int = self.tcp.getsockname()[1]
        here = f"http://127.0.0.1:{self.port}"
        self.address = GatewayAddress(
            base_url_openai=here + OPENAI,
            base_url_anthropic=here + ANTHROPIC,
            socket=path,
            forwarder=(
                *(sys.executable, "-I", "-S", str(FORWARDER)),
                *("--socket", str(path), "--port", str(self.port), "--"),
            ),
        )

    def close(self) -> None:
        self.tcp.close()
        self.unix.close()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def gateway_sockets(port: int) -> Iterator[GatewaySockets]:
    sockets = GatewaySockets(port)
    try:
        yield sockets
    finally:
        sockets.close()


@asynccontextmanager
async def serving(sockets: GatewaySockets, app: GatewayApp) -> AsyncIterator[None]:
    config = uvicorn.Config(
        app,
        http=H11Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
    server = _Server(config, sockets.unix)
    running = asyncio.create_task(server.serve([sockets.tcp]), name="gateway")
    up = asyncio.create_task(server.up.wait())
    try:
        await asyncio.wait({running, up}, return_when=asyncio.FIRST_COMPLETED)
        yield
    finally:
        up.cancel()
        server.should_exit = True
        await running


class _Server(uvicorn.Server):
    """Beside the process's own life: no signals, one more socket, and it says when it serves."""

    def __init__(self, config: uvicorn.Config, unix: socket.socket) -> None:
        super().__init__(config)
        self._unix = unix
        self.up = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        protocol = functools.partial(
            H11Protocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        self.servers.append(await asyncio.get_running_loop().create_unix_server(protocol, sock=self._unix))
        self.up.set()


def _clear_dead() -> None:
    """Folders of gateways that were killed: nobody listens there any more."""
    for path in Path(tempfile.gettempdir()).glob(f"{_FOLDERS}*/socket"):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                shutil.rmtree(path.parent, ignore_errors=True)
            except OSError:
                continue
