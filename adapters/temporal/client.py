"""The one way to a Temporal client: standard TEMPORAL_* configuration, pydantic payloads."""

import asyncio

import structlog
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.service import RPCError

from domain.errors import Unavailable

log = structlog.get_logger(__name__)


async def connect(*, runtime: Runtime | None = None, wait_seconds: float = 30.0) -> Client:
    """Connects, waiting for a server that is just starting. Raises Unavailable that names the address."""
    config = ClientConfig.load_client_connect_config()
    address = config.get("target_host", "localhost:7233")
    deadline = asyncio.get_running_loop().time() + wait_seconds
    while True:
        try:
            return await Client.connect(
                address,
                namespace=config.get("namespace", "default"),
                tls=config.get("tls") or False,
                api_key=config.get("api_key"),
                rpc_metadata=config.get("rpc_metadata") or {},
                data_converter=pydantic_data_converter,
                runtime=runtime,
            )
        except (RuntimeError, RPCError) as error:
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(
                    f"Temporal at {address} does not answer: {error}",
                    hint="Start the stack with `millwright up`, or set TEMPORAL_ADDRESS to a reachable server.",
                ) from error
            log.info("temporal.waiting", address=address)
            await asyncio.sleep(0.5)
