"""What every answer carries, and what never reaches a route."""

from collections.abc import AsyncIterator

import pytest
from psycopg import OperationalError

from api.security.headers import CONTENT_SECURITY_POLICY
from domain.identity.words import Role
from tests.api.served import Served


@pytest.mark.parametrize("address", ["/healthz", "/ui/login", "/no/such", "/ui/no-such", "/runs", "/ui/static/app.css"])
async def test_every_answer_has_the_security_headers(api: Served, address: str) -> None:
    headers = (await api.client.get(address)).headers
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_the_policy_allows_nothing_inline_and_nothing_foreign() -> None:
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY
    assert "frame-ancestors 'none'" in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8642", "127.0.0.1.evil.example", ""])
async def test_another_host_name_is_refused(api: Served, host: str) -> None:
    answer = await api.client.get("/healthz", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["type"] == "urn:millwright:problem:unknown-host"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "[::1]:8642", "127.0.0.1:9"])
async def test_loopback_names_are_ours(api: Served, host: str) -> None:
    assert (await api.client.get("/healthz", headers={"Host": host})).status_code == 200


async def test_a_declared_body_beyond_the_limit_is_refused_unread(api: Served) -> None:
    body = b'{"task": "' + b"x" * api.deps.settings.max_body_bytes + b'"}'
    answer = await api.client.post("/runs", content=body, headers=api.ours.header())
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:millwright:problem:body-too-large")
    assert "1,048,576" in answer.json()["detail"]


async def test_an_undeclared_body_beyond_the_limit_is_refused(api: Served) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    headers = {**api.ours.header(), "content-type": "application/json"}
    answer = await api.client.post("/runs", content=endless(), headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


@pytest.mark.parametrize(
    ("method", "address", "status", "says"),
    [("GET", "/no/such", 404, "/no/such"), ("DELETE", "/runs", 405, "DELETE"), ("GET", "/runs/no-uuid", 422, "run_id")],
)
async def test_what_the_framework_refuses_is_a_problem_document_too(
    api: Served, method: str, address: str, status: int, says: str
) -> None:
    answer = await api.client.request(method, address, headers=api.ours.header(Role.ADMIN))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], says in problem["detail"]) == (status, True)


async def test_broken_json_is_named(api: Served) -> None:
    headers = {**api.ours.header(), "content-type": "application/json"}
    answer = await api.client.post("/runs", content=b"{broken", headers=headers)
    assert answer.status_code == 422
    assert "JSON" in answer.json()["detail"]


async def test_a_defect_is_a_problem_document_without_its_text(api: Served) -> None:
    async def broken() -> None:
        raise RuntimeError("secret inside")

    api.app.get("/broken")(broken)
    answer = await api.client.get("/broken")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:millwright:problem:internal")
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_postgresql_away_is_a_503_that_says_what_to_do(api: Served) -> None:
    async def away() -> None:
        raise OperationalError("connection refused: password=hunter2")

    api.app.get("/away")(away)
    answer = await api.client.get("/away")
    assert (answer.status_code, "millwright up" in answer.json()["hint"]) == (503, True)
    assert "hunter2" not in answer.text
