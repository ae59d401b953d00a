"""GET /runs: pages, exact totals, filters, and values that are wrong."""

import pytest

from domain.identity.words import Role
from domain.runs.words import OutcomeKind
from tests.api.recorded import Recorder
from tests.api.served import Served


async def test_pages_by_offset_and_by_cursor_agree(api: Served, recorder: Recorder) -> None:
    ids = [str(await recorder.new_run(f"Task {number}")) for number in range(5)][::-1]
    header = api.ours.header(Role.VIEWER)
    first = (await api.client.get("/runs", params={"limit": 2}, headers=header)).json()
    assert ([run["id"] for run in first["runs"]], first["total"], first["total_at_least"]) == (ids[:2], 5, None)
    by_offset = (await api.client.get("/runs", params={"limit": 2, "offset": 2}, headers=header)).json()
    by_cursor = (
        await api.client.get("/runs", params={"limit": 2, "cursor": first["next_cursor"]}, headers=header)
    ).json()
    assert [run["id"] for run in by_offset["runs"]] == [run["id"] for run in by_cursor["runs"]] == ids[2:4]
    last = (await api.client.get("/runs", params={"cursor": by_cursor["next_cursor"]}, headers=header)).json()
    assert ([run["id"] for run in last["runs"]], last["next_cursor"]) == (ids[4:], None)


async def test_status_filters_with_an_exact_total(api: Served, recorder: Recorder) -> None:
    await recorder.new_run()
    opened = await recorder.open_run()
    page = (await api.client.get("/runs", params={"status": "RUNNING"}, headers=api.ours.header())).json()
    assert ([run["id"] for run in page["runs"]], page["total"]) == ([str(opened.id)], 1)
    none = (await api.client.get("/runs", params={"pipeline": "another"}, headers=api.ours.header())).json()
    assert (none["runs"], none["total"]) == ([], 0)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=many", "limit"),
        ("offset=-1", "offset"),
        ("status=failed", "status"),
        ("cursor=no-cursor", "cursor"),
        ("offset=1&cursor=abc", "cursor"),
    ],
)
async def test_a_bad_value_names_its_field(api: Served, query: str, field: str) -> None:
    answer = await api.client.get(f"/runs?{query}", headers=api.ours.header())
    assert answer.status_code == 422
    assert answer.json()["field"] == field


async def test_a_deep_offset_is_told_to_use_the_cursor(api: Served) -> None:
    answer = await api.client.get("/runs?offset=10001", headers=api.ours.header())
    assert answer.status_code == 422
    assert (answer.json()["field"], "cursor" in answer.json()["hint"]) == ("offset", True)
    assert (await api.client.get("/runs?offset=10000", headers=api.ours.header())).status_code == 200


async def test_another_organizations_runs_do_not_exist(api: Served, recorder: Recorder) -> None:
    run_id = await recorder.new_run()
    theirs = api.theirs.header(Role.ADMIN)
    assert (await api.client.get("/runs", headers=theirs)).json()["total"] == 0
    for address in (f"/runs/{run_id}", f"/runs/{run_id}/events", f"/runs/{run_id}/artifacts/{'a' * 64}"):
        assert (await api.client.get(address, headers=theirs)).status_code == 404, address
    assert (await api.client.post(f"/runs/{run_id}/cancel", json={}, headers=theirs)).status_code == 404


async def test_cancel_is_recorded_once_per_key_and_refused_at_the_end(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    headers = {**api.ours.header(), "Idempotency-Key": "stop-1"}
    address = f"/runs/{opened.id}/cancel"
    first = await api.client.post(address, json={"reason": "wrong branch"}, headers=headers)
    again = await api.client.post(address, json={"reason": "wrong branch"}, headers=headers)
    assert (first.status_code, again.json()["repeated"]) == (202, True)
    assert first.json()["request_id"] == again.json()["request_id"]
    shown = (await api.client.get(f"/runs/{opened.id}", headers=headers)).json()
    assert shown["cancel_requested_at"] is not None
    await opened.end(OutcomeKind.CANCELLED)
    late = await api.client.post(address, json={}, headers=api.ours.header())
    assert (late.status_code, late.json()["type"]) == (409, "urn:millwright:problem:conflict")


async def test_an_attempt_is_shown_with_its_steps(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    phase = await opened.begin("verify")
    await phase.step("pytest")
    await phase.end_step("pytest", exit_code=1, tail="1 failed")
    await phase.failed()
    address = f"/runs/{opened.id}/attempts/1/verify/1"
    shown = (await api.client.get(address, headers=api.ours.header())).json()
    assert (shown["status"], shown["exit_code"], shown["error"]["kind"]) == ("failed", 1, "command_failed")
    [step] = shown["executions"][0]["steps"]
    assert (step["title"], step["exit_code"], step["tail"], step["cost_usd"]) == ("pytest", 1, "1 failed", None)
    missing = await api.client.get(f"/runs/{opened.id}/attempts/2/verify/1", headers=api.ours.header())
    assert missing.status_code == 404
