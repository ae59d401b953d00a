"""GET /metrics: what Prometheus reads, from committed rows; and who holds which permit."""

from datetime import datetime
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from api.disk_check import disk_check
from api.readiness import Readiness
from domain.runs.views import PHASE_SECONDS_BOUNDS
from tests.api.recorded import Recorder
from tests.api.served import Served


async def samples(api: Served) -> dict[tuple[str, tuple[str, ...]], float]:
    answer = await api.client.get("/metrics", headers=api.ours.header())
    assert answer.headers["content-type"].startswith("text/plain")
    families = list(text_string_to_metric_families(answer.text))
    return {
        (each.name, tuple(value for _, value in sorted(each.labels.items()))): each.value
        for family in families
        for each in family.samples
    }


async def test_counts_come_from_committed_rows(api: Served, recorder: Recorder) -> None:
    await recorder.new_run()
    opened = await recorder.open_run()
    phase = await opened.begin("verify")
    running = await samples(api)
    assert running["millwright_permits_in_use", ("executor",)] == 1
    assert running["millwright_permits", ("executor",)] == 8
    await phase.failed()
    found = await samples(api)
    assert found["millwright_runs", ("QUEUED",)] == 1
    assert found["millwright_runs", ("RUNNING",)] == 1
    assert found["millwright_permits_in_use", ("executor",)] == 0
    assert found["millwright_phase_failures_total", ("command_failed", "verify")] == 1
    assert found["millwright_phase_seconds_count", ("command",)] == 1
    assert found["millwright_phase_seconds_bucket", ("command", "+Inf")] == 1
    buckets = [value for (name, labels), value in found.items() if name == "millwright_phase_seconds_bucket"]
    assert buckets == sorted(buckets), "buckets are cumulative"
    assert len(buckets) == len(PHASE_SECONDS_BOUNDS) + 1
    assert found["millwright_requests_undelivered", ()] == 2


async def test_a_permit_says_who_and_since_when(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    await opened.begin("verify")
    pools = (await api.client.get("/api/v1/permits", headers=api.ours.header())).json()
    [executor] = [pool for pool in pools if pool["name"] == "executor"]
    [permit] = executor["permits"]
    assert (permit["run_id"], permit["phase"], permit["iteration"]) == (str(opened.id), "verify", 1)
    assert permit["worker"] == "box:4711"
    assert datetime.fromisoformat(permit["acquired_at"]) < datetime.fromisoformat(permit["expires_at"])
    theirs = (await api.client.get("/api/v1/permits", headers=api.theirs.header())).json()
    [seen_by_others] = [pool for pool in theirs if pool["name"] == "executor"]
    assert (seen_by_others["in_use"], seen_by_others["permits"]) == (1, [])


async def test_pipelines_and_workspaces_are_listed(api: Served, recorder: Recorder) -> None:
    await recorder.new_run()
    pipelines = (await api.client.get("/api/v1/pipelines", headers=api.ours.header())).json()
    assert {"code-change", "sample-change"} <= {pipeline["name"] for pipeline in pipelines}
    [workspace] = (await api.client.get("/api/v1/workspaces", headers=api.ours.header())).json()
    assert workspace["repo_path"] == "/somewhere/sample"


async def test_readiness_names_what_is_missing(api: Served) -> None:
    answer = await api.client.get("/readyz")
    assert answer.status_code == 503, "no Temporal in this test"
    needs = {need["name"]: need for need in answer.json()["needs"]}
    assert needs["PostgreSQL"]["ready"] is True, needs
    assert needs["Temporal"]["ready"] is False
    assert "millwright up" in needs["Temporal"]["hint"]
    assert needs["disk"]["ready"] is True


async def test_a_full_disk_is_named(tmp_path: Path) -> None:
    report = await Readiness({"disk": disk_check(tmp_path / "not" / "there", least_bytes=10**18)}).report()
    [need] = report.needs
    assert (report.ready, need.ready) == (False, False)
    assert f"are free at {tmp_path}" in need.problem
    assert need.hint
