"""Our two cookies: HttpOnly, SameSite=Lax, Secure behind https; neither is readable by a script."""

from starlette.responses import Response

SESSION = "mw_session"
LOGIN = "mw_login"
"""Of the sign-in page only: its secret makes that form's CSRF token."""


def set_cookie(response: Response, name: str, value: str, *, max_age_seconds: int, secure: bool) -> None:
    response.set_cookie(name, value, max_age=max_age_seconds, httponly=True, samesite="lax", secure=secure, path="/")


def drop_cookie(response: Response, name: str, *, secure: bool) -> None:
    response.delete_cookie(name, httponly=True, samesite="lax", secure=secure, path="/")
