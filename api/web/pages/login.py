"""/ui/login and /ui/logout."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse
from starlette.responses import Response

from api.deps import TheCaller, TheDeps
from api.problems import ProblemError, make_problem
from api.security.cookies import LOGIN, SESSION, drop_cookie, set_cookie
from api.security.csrf import check_csrf, csrf_token
from api.web.render import page

router = APIRouter()

SESSION_SECONDS = 12 * 3600
"""The cookie's life; the record ends the session itself (adapters/store)."""
LOGIN_FORM_SECONDS = 3600


def safe_next(address: str) -> str:
    """Only pages of ours: no other host, no tricks with slashes."""
    ours = address.startswith("/ui") and not any(sign in address for sign in ("\\", "//", "\r", "\n"))
    return address if ours and not address.startswith("/ui/log") else "/ui"


@router.get("/ui/login")
async def form(request: Request, deps: TheDeps, next: str = "/ui") -> Response:
    return _form(request, deps, next)


def _form(
    request: Request, deps: TheDeps, next: str, *, user: str = "", problem: str = "", status: int = 200
) -> Response:
    secret = request.cookies.get(LOGIN) or secrets.token_urlsafe(32)
    context = {"csrf_token": csrf_token(secret), "next": safe_next(next), "user": user, "problem": problem}
    response = page("login.html", context, status=status)
    set_cookie(response, LOGIN, secret, max_age_seconds=LOGIN_FORM_SECONDS, secure=deps.settings.secure_cookies)
    return response


@router.post("/ui/login")
async def log_in(
    request: Request,
    deps: TheDeps,
    user: Annotated[str, Form(max_length=200)],
    password: Annotated[str, Form(max_length=1000)],
    csrf_token: Annotated[str, Form(max_length=200)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/ui",
) -> Response:
    check_csrf(request.headers, request.cookies.get(LOGIN, ""), csrf_token)
    keys = (f"user:{user.lower()}", f"address:{request.client.host if request.client else ''}")
    wait = deps.login_limit.wait_seconds(*keys)
    if wait > 0:
        problem = make_problem(429, "Too many wrong passwords.", hint=f"Try again in {int(wait) + 1} s.")
        raise ProblemError(problem, {"Retry-After": str(int(wait) + 1)})
    session = await deps.accounts.log_in(user, password)
    if session is None:
        deps.login_limit.failed(*keys)
        return _form(request, deps, next, user=user, problem="User or password is wrong.", status=401)
    deps.login_limit.passed(*keys)
    response = RedirectResponse(safe_next(next), status_code=303)
    secure = deps.settings.secure_cookies
    set_cookie(response, SESSION, session[0], max_age_seconds=SESSION_SECONDS, secure=secure)
    drop_cookie(response, LOGIN, secure=secure)
    return response


@router.post("/ui/logout")
async def log_out(request: Request, deps: TheDeps, caller: TheCaller) -> Response:
    token = request.cookies.get(SESSION)
    if token:
        await deps.accounts.log_out(token)
    response = RedirectResponse("/ui/login", status_code=303)
    drop_cookie(response, SESSION, secure=deps.settings.secure_cookies)
    return response
