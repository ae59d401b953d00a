"""What a session needs of the way to its server, whichever way that is."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from mcp.client._transport import TransportStreams

MOST_BYTES = 4 * 1024 * 1024
"""Of one message: what is shown of it is far less, and the rest is not kept in memory."""


class Link(Protocol):
    """One connection, used once."""

    @property
    def ended(self) -> asyncio.Event:
        """Set when the server's side is gone, or broke the protocol."""
        ...

    @property
    def account(self) -> str:
        """What is known of why it ended or refused, as a clause; empty: nothing. Not yet redacted."""
        ...

    @property
    def status(self) -> int | None:
        """Of an HTTP server's last answer, when it was a refusal."""
        ...

    def streams(self) -> AbstractAsyncContextManager[TransportStreams]: ...
