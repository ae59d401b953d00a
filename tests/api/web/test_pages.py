"""What the pages say, as served: they read well without any script."""

import re
from pathlib import Path
from uuid import uuid4

import pytest

from adapters.store.relay import PostgresOutbox
from domain.identity.words import Role
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.ports import ArtifactRef, CommitFacts
from domain.runs.words import OutcomeKind, StepKind
from tests.api.recorded import OpenedRun, Recorder
from tests.api.served import Served
from tests.api.web.test_login import sign_in, token_in

TAGS = re.compile(r"<[^>]+>")


async def page(api: Served, address: str, *, status: int = 200) -> str:
    answer = await api.client.get(address, headers=api.ours.header(Role.OPERATOR))
    assert answer.status_code == status, answer.text
    return answer.text


def words(html: str) -> str:
    return re.sub(r"\s+", " ", TAGS.sub(" ", html))


async def running(recorder: Recorder) -> OpenedRun:
    """Iteration 1 failed its verification, iteration 2 verifies now."""
    opened = await recorder.open_run(model="scripted:demo")
    first = await opened.begin("implement")
    await first.passed(
        commit=CommitFacts(sha="4f1a9be2" + "0" * 32, subject="Mend it", files_changed=2, insertions=14, deletions=3)
    )
    verify = await opened.begin("verify")
    await verify.step("python -m pytest -q")
    await verify.say("\x1b[31mFAILED\x1b[0m <b>test_add</b>\n")
    await verify.end_step("python -m pytest -q", exit_code=1, tail="1 failed")
    await verify.failed()
    again = await opened.begin("implement", iteration=2)
    await again.passed(exit_code=0)
    now = await opened.begin("verify", iteration=2)
    await now.step("python -m pytest -q")
    await now.say("collected 3 items\n")
    return opened


async def test_exactly_one_phase_runs_with_icon_word_and_timer(api: Served, recorder: Recorder) -> None:
    opened = await running(recorder)
    html = await page(api, f"/ui/runs/{opened.id}")
    assert html.count('class="phase is-running"') == 1
    [item] = re.findall(r'<li class="phase is-running".*?</li>', html, re.S)
    assert "<svg" in item and "Running for" in item and 'data-since="' in item and "verify" in item
    assert "Running: Iteration 2 - verify" in words(html)
    assert "Exit 1" in words(html) and "Exit 0" in words(html)


async def test_the_log_is_headed_by_iteration_and_phase_and_escaped(api: Served, recorder: Recorder) -> None:
    opened = await running(recorder)
    html = await page(api, f"/ui/runs/{opened.id}")
    headings = [words(each).strip() for each in re.findall(r"<h3><span>(.*?)</span>", html)]
    assert headings == ["Iteration 1 - verify", "Iteration 2 - verify"]
    assert '<span class="a-fg-red">FAILED</span> &lt;b&gt;test_add&lt;/b&gt;' in html
    only = await page(api, f"/ui/runs/{opened.id}?log=implement")
    assert "Nothing printed yet" in only


async def test_commits_steps_and_unknown_numbers(api: Served, recorder: Recorder) -> None:
    opened = await running(recorder)
    shown = words(await page(api, f"/ui/runs/{opened.id}"))
    assert "4f1a9be2 Mend it 2 files, +14 -3" in shown
    assert "python -m pytest -q 1 failed" in shown, "the last lines stand at their step"
    model = await opened.begin("self-review", iteration=2)
    await model.step("reviewer: scripted:demo", StepKind.MODEL_CALL)
    shown = words(await page(api, f"/ui/runs/{opened.id}"))
    assert "Self-review (automated)" in shown
    assert "unknown / unknown" in shown, "unknown tokens are not 0"


async def test_a_failure_says_what_why_and_what_now(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    error = PhaseError(
        kind=ErrorKind.COMMAND_FAILED,
        message="test_parse failed 3 times",
        excerpt="E  assert 1 == 2",
        hint="Look at parse()",
    )
    await opened.end(OutcomeKind.MAX_CONSECUTIVE_FAILURES, detail="verify", error=error)
    shown = words(await page(api, f"/ui/runs/{opened.id}"))
    assert "Failed: verify failed again and again with the same error" in shown
    assert "test_parse failed 3 times (command_failed)" in shown
    assert "E assert 1 == 2" in shown
    assert "What now: Look at parse()" in shown
    assert "max_consecutive_failures(verify)" in words(await page(api, "/ui/runs"))


async def test_a_run_that_temporal_does_not_have_says_why(api: Served, recorder: Recorder) -> None:
    run_id = await recorder.new_run()
    outbox = PostgresOutbox(api.database)
    [delivery] = await outbox.claim(limit=1, lease_seconds=60)
    await outbox.failed(delivery, "its disk is full")
    shown = words(await page(api, f"/ui/runs/{run_id}"))
    assert "Queued: Temporal could not be given what was asked yet its disk is full" in shown
    assert "What now: It is tried again by itself" in shown


async def test_who_cancelled_and_why(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    await api.deps.requests.cancel_run(api.ours.id, opened.id, actor="ada", reason="<enough>")
    shown = await page(api, f"/ui/runs/{opened.id}")
    assert "by ada: &lt;enough&gt;" in words(shown)


async def test_whole_output_is_a_plain_text_download(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    phase = await opened.begin("verify")
    body = b"<script>alert(1)</script>\n" * 3
    sha256 = await api.deps.artifacts.put(api.ours.id, body)
    await phase.passed(exit_code=0, artifacts=(ArtifactRef(sha256=sha256, size_bytes=len(body), name="output"),))
    html = await page(api, f"/ui/runs/{opened.id}")
    address = f"/runs/{opened.id}/artifacts/{sha256}"
    assert f'href="{address}"' in html
    answer = await api.client.get(address, headers=api.ours.header())
    assert (answer.content, answer.headers["content-type"]) == (body, "text/plain; charset=utf-8")
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_empty_states_say_how_to_begin(api: Served) -> None:
    for address in ("/ui", "/ui/runs"):
        shown = words(await page(api, address))
        assert "millwright run start --repo" in shown, address
    assert "No run matches" in words(await page(api, "/ui/runs?status=FAILED"))


async def test_the_list_filters_by_address_and_tells_of_newer_runs(api: Served, recorder: Recorder) -> None:
    queued = await recorder.new_run("First task")
    opened = await recorder.open_run("Second task")
    html = await page(api, "/ui/runs?status=RUNNING")
    assert "Second task" in html and "First task" not in html
    assert "1 run " in words(html)
    top = f"/ui/runs/newer?top={queued}"
    assert "1 newer run: show" in words(await page(api, top))
    assert (await page(api, f"/ui/runs/newer?top={opened.id}")).strip() == ""


async def test_operations_says_who_holds_which_permit_since_when(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    await opened.begin("verify")
    html = await page(api, "/ui/operations")
    shown = words(html)
    assert "Permits: executor 1 of 8 in use" in shown
    assert f'href="/ui/runs/{opened.id}"' in html
    assert "Iteration 1 - verify box:4711" in shown
    assert "data-since=" in html
    assert "No worker has been seen" in shown or "Temporal is not there" in shown


async def test_a_run_starts_from_the_form_and_refusals_stand_at_their_field(api: Served, repository: Path) -> None:
    async with api.browser() as browser:
        await sign_in(browser, "operator@default")
        form = await browser.get("/ui/runs/new")
        fields = {
            "csrf_token": token_in(form.text),
            "idempotency_key": "form-1",
            "task": "Mend\r\nthe adder",
            "repo": "/no/such",
            "model": "scripted:demo",
            "test_command": "true",
        }
        refused = await browser.post("/ui/runs/new", data=fields)
        assert refused.status_code == 422
        assert re.search(r'id="repo"[^>]*aria-invalid="true"', refused.text)
        assert "/no/such" in words(refused.text) and "the adder" in refused.text
        accepted = await browser.post("/ui/runs/new", data={**fields, "repo": str(repository)})
        assert accepted.status_code == 303
        shown = await browser.get(accepted.headers["location"])
        assert "Queued: no worker has taken it yet" in words(shown.text)


async def test_unknown_runs_and_pages_are_pages_too(api: Served) -> None:
    shown = words(await page(api, f"/ui/runs/{uuid4()}", status=404))
    assert "There is no run" in shown and "All runs" in shown
    assert "There is nothing at" in words(await page(api, "/ui/no-such", status=404))


@pytest.mark.parametrize("address", ["/ui", "/ui/runs", "/ui/operations", "/ui/runs/new", "run"])
async def test_pages_are_small_and_carry_nothing_inline(api: Served, recorder: Recorder, address: str) -> None:
    opened = await running(recorder)
    html = await page(api, f"/ui/runs/{opened.id}" if address == "run" else address)
    assert len(html.encode()) < 60_000
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", html)
    assert 'class="skip"' in html and "<main" in html and '<html lang="en"' in html
    assert html.count("<h1>") == 1


async def test_a_long_output_leaves_the_page_small(api: Served, recorder: Recorder) -> None:
    opened = await recorder.open_run()
    phase = await opened.begin("verify")
    for number in range(8):
        await phase.say(f"line {number} {'x' * 100}\n" * 250)
    html = await page(api, f"/ui/runs/{opened.id}")
    assert len(html.encode()) < 60_000
    assert "Earlier lines are left out here." in html and "line 7" in html


async def test_static_files_are_kept_by_their_content(api: Served) -> None:
    html = await page(api, "/ui/runs")
    addresses = re.findall(r'(?:href|src)="(/ui/static/[^"]+)"', html)
    assert len(addresses) >= 4
    total = len(html.encode())
    for address in addresses:
        answer = await api.client.get(address)
        assert answer.status_code == 200, address
        assert "immutable" in answer.headers["cache-control"], address
        total += int(answer.headers["content-length"]) if "content-length" in answer.headers else len(answer.content)
    assert total < 100_000, "the first page with all that it loads"
