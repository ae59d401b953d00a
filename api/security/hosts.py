"""The Host header check against DNS rebinding: a page of another site must not reach our loopback port by name."""

from starlette.datastructures import Headers

from api.problems import Problem, make_problem


def bare_host(header: str) -> str:
    """Host header without its port, in lower case, IPv6 without brackets."""
    value = header.strip().lower()
    if value.startswith("["):
        return value[1:].split("]", 1)[0]
    return value.rsplit(":", 1)[0] if value.count(":") == 1 else value


def refuse_host(headers: Headers, known: frozenset[str]) -> Problem | None:
    host = bare_host(headers.get("host", ""))
    if host in known:
        return None
    return make_problem(
        421,
        f"This server does not answer for the host `{host[:100]}`.",
        hint="Use a loopback address, or name the host in MILLWRIGHT_ALLOWED_HOSTS.",
    )
