"""Grants: who may call models through the gateway, and for which execution. They live and die with this process."""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from activities.gateway.granted import Granted
from activities.models.calls import ModelCalls
from domain.gateway.ports import GatewayAccess, GatewayAddress, GatewayGrant, GatewayUse
from domain.gateway.wire import Forwarding

_ENDING_SECONDS = 25.0
"""What calls in flight get to be recorded as cancelled (activities.models.recording waits 20 s for a database)."""
_ENDED_KEPT = 256
"""Ended grants whose use may still be asked for."""


class Gateway:
    """GatewayPort for phases, and WireClients for the endpoint. One per process."""

    def __init__(self, *, calls: ModelCalls, forwarding: Forwarding, address: GatewayAddress) -> None:
        self._calls = calls
        self._forwarding = forwarding
        self._address = address
        self._open: dict[str, tuple[str, Granted]] = {}
        self._ended: OrderedDict[str, GatewayUse] = OrderedDict()

    @asynccontextmanager
    async def granted(self, grant: GatewayGrant) -> AsyncIterator[GatewayAccess]:
        name, token = _token()
        granted = Granted(grant, self._calls, self._forwarding)
        self._open[name] = (token, granted)
        try:
            yield GatewayAccess(token=token, **self._address.model_dump())
        finally:
            del self._open[name]
            await granted.end(_ENDING_SECONDS)
            self._ended[token] = granted.use
            while len(self._ended) > _ENDED_KEPT:
                self._ended.popitem(last=False)

    def use(self, token: str) -> GatewayUse:
        found = self._find(token)
        return found.use if found is not None else self._ended.pop(token, GatewayUse())

    def client(self, token: str) -> Granted | None:
        return self._find(token)

    def _find(self, token: str) -> Granted | None:
        """The name in a token finds the grant; the whole token is compared in constant time."""
        known, granted = self._open.get(_name(token), ("", None))
        same = hmac.compare_digest(known.encode(), token.encode("utf-8", "replace"))
        return granted if same else None


def _token() -> tuple[str, str]:
    """(name, token). Looks like a provider's key, so that the redactor hides it wherever it is printed."""
    name = f"0{secrets.token_hex(8)}"
    return name, f"sk-{name}-{secrets.token_urlsafe(32)}"


def _name(token: str) -> str:
    return token.removeprefix("sk-").partition("-")[0]
