"""Every answer that is no success becomes one message, what to do, and the right exit code."""

import json
from http.server import BaseHTTPRequestHandler

import pytest

from cli.commands.answers import Accepted
from cli.commands.client import Api
from cli.commands.failing import CommandError, exit_code_of_run
from cli.commands.settings import Target
from domain.runs.words import OutcomeKind, RunStatus
from tests.cli.commands.servers import send, serving
from tests.cli.commands.views import RUN

PROBLEM = {
    "status": 422,
    "title": "Unprocessable Content",
    "detail": "`task` is missing.",
    "hint": "Give one.",
    "field": "task",
}


def _error(status: int, body: str, *, key: str | None = "mw_x") -> CommandError:
    with (
        serving(lambda handler: send(handler, status, body)) as url,
        Api(Target(api_url=url, api_key=key)) as api,
        pytest.raises(CommandError) as raised,
    ):
        api.get("/runs", Accepted)
    return raised.value


@pytest.mark.parametrize(
    ("status", "code"), [(401, 2), (403, 4), (404, 2), (409, 2), (413, 2), (422, 2), (429, 3), (500, 3), (503, 3)]
)
def test_problem_documents_keep_detail_hint_and_field(status: int, code: int) -> None:
    error = _error(status, json.dumps(PROBLEM | {"status": status}))
    assert (error.message, error.hint, error.field) == ("`task` is missing.", "Give one.", "task")
    assert error.exit_code == code


def test_without_a_key_the_hint_says_where_to_put_one() -> None:
    assert "MILLWRIGHT_API_KEY" in _error(401, json.dumps(PROBLEM), key=None).hint


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", "", "[]", '"x"'])
def test_something_else_behind_the_address_is_said(body: str) -> None:
    error = _error(502, body)
    assert "not as Millwright does" in error.message
    assert error.exit_code == 3
    error = _error(200, body)
    assert "not as Millwright does" in error.message
    assert error.exit_code == 3


def test_nothing_behind_the_address() -> None:
    with serving(lambda handler: None) as url:
        pass
    with Api(Target(api_url=url)) as api, pytest.raises(CommandError, match="does not answer") as raised:
        api.get("/runs", Accepted)
    assert raised.value.exit_code == 3
    assert "millwright up" in raised.value.hint


def test_an_address_that_is_none() -> None:
    with Api(Target(api_url="nothing://x")) as api, pytest.raises(CommandError) as raised:
        api.get("/runs", Accepted)
    assert raised.value.exit_code == 3
    assert "MILLWRIGHT_API_URL" in raised.value.hint


def test_a_post_carries_key_and_idempotency_key_and_unknown_fields_of_answers_are_fine() -> None:
    seen: dict[str, str] = {}

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen.update(handler.headers)
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        seen["body"] = body.decode()
        send(handler, 202, json.dumps({"run_id": str(RUN), "request_id": str(RUN), "from_the_future": 1}))

    with serving(answer) as url, Api(Target(api_url=url, api_key="mw_x")) as api:
        assert api.post("/runs", {"a": 1}, Accepted, key="ci-17").run_id == RUN
        assert seen["Idempotency-Key"] == "ci-17"
        api.post("/runs", {"a": 1}, Accepted)
        assert len(seen["Idempotency-Key"]) == 36
    assert seen["Authorization"] == "Bearer mw_x"
    assert json.loads(seen["body"]) == {"a": 1}


def test_the_key_is_not_shown() -> None:
    assert "mw_secret" not in repr(Target(api_url="http://x", api_key="mw_secret"))


@pytest.mark.parametrize("kind", list(OutcomeKind))
def test_every_outcome_has_its_exit_code(kind: OutcomeKind) -> None:
    expected = {
        OutcomeKind.VERIFIED: 0,
        OutcomeKind.COMPLETED: 0,
        OutcomeKind.POLICY_BLOCKED: 4,
        OutcomeKind.INVALID_INPUT: 2,
    }.get(kind, 1)
    assert exit_code_of_run(kind.run_status, kind) == expected
    assert exit_code_of_run(RunStatus.RUNNING, None) == 0
