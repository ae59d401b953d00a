"""What routes are given: the composition root's objects, and the caller with the role that a route needs."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer

from api.live import Stream
from api.ports import Accounts, Catalogue, Requests, Views
from api.problems import ProblemError, make_problem
from api.readiness import Readiness
from api.security.cookies import SESSION
from api.security.csrf import FIELD, HEADER, SAFE_METHODS, check_csrf, csrf_token
from api.security.login_limit import LoginLimit
from api.settings import ApiSettings
from domain.artifacts.ports import ArtifactStore
from domain.errors import Forbidden
from domain.identity.principal import Principal
from domain.identity.words import Role
from domain.workspaces.ports import Workspaces

KEY_PREFIX = "mw_"

Background = Callable[[], Awaitable[None]]
"""Runs beside the routes until it is cancelled (the relay, for one)."""


@dataclass(frozen=True)
class Deps:
    """Everything that a route may touch; made by api/wiring.py, by tests in the same way."""

    settings: ApiSettings
    accounts: Accounts
    views: Views
    requests: Requests
    catalogue: Catalogue
    artifacts: ArtifactStore
    workspaces: Workspaces
    stream: Stream
    readiness: Readiness
    login_limit: LoginLimit
    background: Mapping[str, Background] = field(default_factory=dict)
    wake_relay: Callable[[], None] = lambda: None
    """Called when a request was recorded: the relay need not wait for its next look."""


@dataclass(frozen=True)
class SignedIn:
    """The caller. `csrf_token` is None for an API key, which no browser sends by itself."""

    principal: Principal
    csrf_token: str | None


def deps_of(request: Request) -> Deps:
    return cast(Deps, request.app.state.deps)


TheDeps = Annotated[Deps, Depends(deps_of)]

_bearer = HTTPBearer(auto_error=False, scheme_name="apiKey", description="An API key: `Authorization: Bearer mw_...`")
_cookie = APIKeyCookie(
    name=SESSION, auto_error=False, scheme_name="session", description="Made by /ui/login; unsafe requests need CSRF."
)


async def signed_in(
    request: Request,
    deps: TheDeps,
    _key: Annotated[object, Depends(_bearer)],
    _session: Annotated[object, Depends(_cookie)],
) -> SignedIn:
    """The caller by API key or session; raises 401, and 403 for a session without its CSRF token."""
    if "authorization" in request.headers:
        return SignedIn(await _by_key(request, deps), None)
    token = request.cookies.get(SESSION)
    principal = await deps.accounts.by_session(token) if token else None
    if token is None or principal is None:
        raise _not_signed_in("No API key came with the request, and no session that is still good.")
    if request.method not in SAFE_METHODS:
        check_csrf(request.headers, token, await _given_csrf_token(request))
    return SignedIn(principal, csrf_token(token))


async def _by_key(request: Request, deps: Deps) -> Principal:
    scheme, _, key = request.headers["authorization"].partition(" ")
    principal = None
    if scheme.lower() == "bearer" and key.strip().startswith(KEY_PREFIX):
        principal = await deps.accounts.by_api_key(key.strip())
    if principal is None:
        raise _not_signed_in("The API key is unknown or revoked.")
    return principal


async def _given_csrf_token(request: Request) -> str | None:
    if HEADER in request.headers:
        return request.headers[HEADER]
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return None
    given = (await request.form()).get(FIELD)
    return given if isinstance(given, str) else None


def _not_signed_in(detail: str) -> ProblemError:
    hint = "Send `Authorization: Bearer mw_...` (the local key is in credentials.json), or sign in at /ui/login."
    return ProblemError(make_problem(401, detail, hint=hint), {"WWW-Authenticate": "Bearer"})


TheCaller = Annotated[SignedIn, Depends(signed_in)]


def needs(role: Role) -> Callable[[SignedIn], Awaitable[SignedIn]]:
    async def check(caller: TheCaller) -> SignedIn:
        if not caller.principal.role.allows(role):
            raise Forbidden(
                f"This needs the role {role}; {caller.principal.actor} is {caller.principal.role}.",
                hint="Ask an admin of the organization.",
            )
        return caller

    return check


Viewer = Annotated[SignedIn, Depends(needs(Role.VIEWER))]
Operator = Annotated[SignedIn, Depends(needs(Role.OPERATOR))]
Admin = Annotated[SignedIn, Depends(needs(Role.ADMIN))]
