"""The gateway as this process serves it: sockets, endpoint and grants put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from activities.gateway.gateway import Gateway
from activities.models.calls import ModelCalls
from adapters.gateway.app import GatewayApp
from adapters.gateway.server import gateway_sockets, serving
from domain.gateway.wire import Forwarding


@asynccontextmanager
async def open_gateway(*, port: int, calls: ModelCalls, forwarding: Forwarding) -> AsyncIterator[Gateway]:
    """Listens on loopback for as long as the context is open. Raises Unavailable when the port is taken."""
    with gateway_sockets(port) as sockets:
        gateway = Gateway(calls=calls, forwarding=forwarding, address=sockets.address)
        async with serving(sockets, GatewayApp(gateway)):
            yield gateway
