"""Signing in and out by the form, and what a cookie alone may not do."""

import re

import httpx
import pytest

from api.security.cookies import SESSION
from api.security.csrf import HEADER
from api.security.login_limit import MAX_FAILURES
from domain.identity.words import Role
from tests.api.people import PASSWORD
from tests.api.recorded import Recorder
from tests.api.served import Served


def token_in(text: str) -> str:
    match = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', text)
    assert match is not None
    return match.group(1)


async def sign_in(browser: httpx.AsyncClient, user: str, password: str = PASSWORD, next: str = "/ui") -> httpx.Response:
    form = await browser.get("/ui/login", params={"next": next})
    fields = {"user": user, "password": password, "csrf_token": token_in(form.text), "next": next}
    return await browser.post("/ui/login", data=fields)


async def test_a_person_signs_in_and_out(api: Served) -> None:
    async with api.browser() as browser:
        sent_away = await browser.get("/ui/runs")
        assert (sent_away.status_code, sent_away.headers["location"]) == (303, "/ui/login?next=%2Fui%2Fruns")
        answer = await sign_in(browser, "operator@default", next="/ui/runs")
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/runs")
        cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith(SESSION))
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Secure" not in cookie
        page = await browser.get("/ui/runs")
        assert (page.status_code, "operator@default" in page.text) == (200, True)
        session = browser.cookies[SESSION]
        out = await browser.post("/ui/logout", data={"csrf_token": token_in(page.text)})
        assert (out.status_code, SESSION in browser.cookies) == (303, False)
        browser.cookies.set(SESSION, session)
        assert (await browser.get("/ui/runs")).status_code == 303, "the session itself is over, not only its cookie"


async def test_a_wrong_password_says_no_more_than_that(api: Served) -> None:
    async with api.browser() as browser:
        known = await sign_in(browser, "operator@default", "wrong")
        unknown = await sign_in(browser, "nobody", "wrong")
    assert known.status_code == unknown.status_code == 401
    assert "User or password is wrong." in known.text and "User or password is wrong." in unknown.text
    assert "wrong" not in re.findall(r'value="([^"]*)"', known.text), "the password is not given back"


async def test_guessing_is_slowed_down(api: Served) -> None:
    async with api.browser() as browser:
        for _ in range(MAX_FAILURES):
            assert (await sign_in(browser, "admin@default", "wrong")).status_code == 401
        refused = await sign_in(browser, "admin@default")
    assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)


async def test_the_form_needs_its_own_token(api: Served) -> None:
    async with api.browser() as browser:
        answer = await browser.post("/ui/login", data={"user": "operator@default", "password": PASSWORD})
        assert answer.status_code == 403


@pytest.mark.parametrize("next", ["https://evil.example", "//evil.example", "/ui//evil.example", "/ui\\evil", "/runs"])
async def test_signing_in_leads_to_no_other_site(api: Served, next: str) -> None:
    async with api.browser() as browser:
        answer = await sign_in(browser, "operator@default", next=next)
    assert answer.headers["location"] == "/ui"


async def test_a_cookie_alone_changes_nothing(api: Served, recorder: Recorder) -> None:
    run_id = await recorder.new_run()
    async with api.browser() as browser:
        await sign_in(browser, "operator@default")
        page = await browser.get(f"/ui/runs/{run_id}")
        token = token_in(page.text)
        for headers in ({}, {HEADER: "0" * 64}, {HEADER: token, "Origin": "https://evil.example"}):
            refused = await browser.post(f"/runs/{run_id}/cancel", json={}, headers=headers)
            assert refused.status_code == 403, headers
        assert (await browser.post(f"/ui/runs/{run_id}/cancel", data={})).status_code == 403
        shown = (await api.client.get(f"/runs/{run_id}", headers=api.ours.header())).json()
        assert shown["cancel_requested_at"] is None
        assert (await browser.post(f"/runs/{run_id}/cancel", json={}, headers={HEADER: token})).status_code == 202


async def test_a_swapped_part_never_becomes_the_sign_in_page(api: Served) -> None:
    answer = await api.client.get("/ui/runs/newer", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-refresh"]) == (401, "true")


async def test_a_viewer_sees_no_button_that_would_be_refused(api: Served, recorder: Recorder) -> None:
    run_id = await recorder.new_run()
    async with api.browser() as browser:
        await sign_in(browser, f"{Role.VIEWER}@default")
        page = (await browser.get(f"/ui/runs/{run_id}")).text
        assert "Cancel run" not in page
        assert "Start a run" not in (await browser.get("/ui/runs")).text
        assert (await browser.get("/ui/runs/new")).status_code == 403
