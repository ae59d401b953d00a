"""Which headers pass the gateway, both ways: all but what belongs to one connection or to an account."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HOP_BY_HOP = _names(
    "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    "upgrade host content-length content-encoding accept-encoding expect via forwarded"
)
"""Of one connection (RFC 9110, 7.6.1), or made anew for the next."""

_ACCOUNT = _names(
    "authorization x-api-key api-key x-goog-api-key cookie set-cookie openai-organization openai-project "
    "anthropic-organization-id anthropic-workspace-id"
)
"""Who pays and who asks: the policy's credential decides, and whose it is concerns no client."""

_SERVER = frozenset({"server", "date", "alt-svc", "strict-transport-security"})
"""Of the provider's own server."""

_PREFIXES = ("x-forwarded-", "x-real-ip", "x-millwright-", "proxy-", "sec-")

Headers = tuple[tuple[str, str], ...]


def to_provider(headers: Headers) -> Headers:
    return tuple((name, value) for name, value in headers if name not in _listed(headers) and _passes(name))


def to_client(headers: Headers) -> Headers:
    return tuple(
        (name, value)
        for name, value in headers
        if name not in _listed(headers) and name not in _SERVER and _passes(name)
    )


def _passes(name: str) -> bool:
    return name not in _HOP_BY_HOP and name not in _ACCOUNT and not name.startswith(_PREFIXES)


def _listed(headers: Headers) -> frozenset[str]:
    """What `Connection` names is of this connection, too."""
    named = ",".join(value for name, value in headers if name == "connection")
    return frozenset(name.strip().lower() for name in named.split(","))
