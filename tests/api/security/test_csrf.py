"""A request that a cookie signs in must carry the token of that cookie, and come from our own pages."""

import pytest
from starlette.datastructures import Headers

from api.problems import ProblemError
from api.security.csrf import check_csrf, csrf_token
from api.security.hosts import bare_host


def headers(**given: str) -> Headers:
    return Headers({name.replace("_", "-"): value for name, value in {"host": "localhost:8642", **given}.items()})


def test_the_right_token_passes() -> None:
    check_csrf(headers(origin="http://localhost:8642", sec_fetch_site="same-origin"), "session", csrf_token("session"))


@pytest.mark.parametrize("given", [None, "", "ä", csrf_token("another session")])
def test_a_missing_or_wrong_token_is_refused(given: str | None) -> None:
    with pytest.raises(ProblemError) as caught:
        check_csrf(headers(), "session", given)
    assert caught.value.problem.status == 403


@pytest.mark.parametrize(
    "given", [{"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}, {"origin": "null"}]
)
def test_another_site_is_refused_even_with_the_token(given: dict[str, str]) -> None:
    with pytest.raises(ProblemError):
        check_csrf(headers(**given), "session", csrf_token("session"))


@pytest.mark.parametrize(
    ("header", "host"),
    [("LOCALHOST:8642", "localhost"), ("[::1]:8642", "::1"), ("::1", "::1"), ("a.example", "a.example"), ("", "")],
)
def test_host_without_port(header: str, host: str) -> None:
    assert bare_host(header) == host
