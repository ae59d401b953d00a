"""CSRF tokens: a keyed hash of the cookie that they protect, so that nothing is stored and no page of another
site can know them. Needed on every unsafe request that a cookie signs in; an API key needs none.
"""

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from api.problems import ProblemError, make_problem
from api.security.hosts import bare_host

HEADER = "X-CSRF-Token"
FIELD = "csrf_token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def csrf_token(secret: str) -> str:
    """Of a session token, or of the sign-in page's own cookie."""
    return hmac.new(secret.encode(), b"millwright csrf 1", "sha256").hexdigest()


def check_csrf(headers: Headers, secret: str, given: str | None) -> None:
    """Raises 403 when the token is missing or wrong, or the browser says that another site sent this."""
    if is_foreign(headers):
        raise ProblemError(
            make_problem(403, "This request came from a page of another site.", hint="Use our own pages.")
        )
    if given is None or not hmac.compare_digest(given.encode(), csrf_token(secret).encode()):
        raise ProblemError(
            make_problem(
                403,
                "The CSRF token is missing or wrong.",
                hint=f"Reload the page; scripts send {HEADER}, or better an API key (`Authorization: Bearer mw_...`).",
                field=FIELD,
            )
        )


def is_foreign(headers: Headers) -> bool:
    """By what browsers say themselves; absent headers (older browsers, scripts) say nothing."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    return bare_host(urlsplit(origin).netloc) != bare_host(headers.get("host", ""))
