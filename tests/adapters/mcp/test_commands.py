"""Servers that are commands, under the real sandbox."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from adapters.mcp.contents import MOST_CHARACTERS
from adapters.mcp.server import MOST_SESSIONS
from domain.agents.tools import McpServer
from domain.errors import PhaseFailure
from domain.runs.failure import ErrorKind
from domain.runs.words import Effect
from tests.adapters.mcp.conftest import Place, raw, sdk

ROOT = Path(__file__).resolve().parents[3]


async def test_a_server_of_the_sdk_is_used_over_its_pipes(place: Place) -> None:
    async with place.box(sdk()) as box:
        add = next(spec for spec in box.specs if spec.name == "tester__add")
        assert add.description == "Adds two numbers."
        assert add.parameters["type"] == "object" and add.parameters["required"] == ["a", "b"]
        assert (await box.call("tester__add", {"a": 2, "b": 3})).text == "5"
        wrong = await box.call("tester__add", {"a": "two"})
        assert wrong.is_error and "integer" in wrong.text
        assert (await box.call("tester__fail", {"why": "no luck"})).is_error
        odd = next(spec.name for spec in box.specs if "odd" in spec.name)
        assert (await box.call(odd, {})).text == "odd"
    await place.none_is_left()


async def test_calls_may_overlap(place: Place) -> None:
    async with place.box(sdk()) as box:
        outcomes = await asyncio.gather(*(box.call("tester__add", {"a": n, "b": n}) for n in range(20)))
    assert [outcome.text for outcome in outcomes] == [str(2 * n) for n in range(20)]


async def test_it_works_in_the_worktree_with_a_scrubbed_environment(place: Place) -> None:
    place.environment["SERVER_TOKEN"] = "s3cr3t-of-the-server"
    os.environ["WORKER_ONLY"] = "not for servers"
    server = sdk(env={"API_TOKEN": "env:SERVER_TOKEN", "MODE": "fast"})
    async with place.box(server, FROM_WORKSPACE="yes") as box:
        said = (await box.call("tester__surroundings", {})).text.splitlines()
        await box.call("tester__write", {"path": "new.txt", "text": "hello"})
    del os.environ["WORKER_ONLY"]
    assert f"cwd={place.worktree}" in said
    assert "FROM_WORKSPACE=yes" in said and "MODE=fast" in said
    assert "API_TOKEN=[redacted]" in said
    assert not any("WORKER_ONLY" in line for line in said)
    assert (place.worktree / "new.txt").read_text() == "hello"


async def test_a_long_result_is_cut_and_other_content_is_said(place: Place) -> None:
    async with place.box(sdk()) as box:
        long = await box.call("tester__long_text", {"characters": 1_000_000})
        assert len(long.text) < MOST_CHARACTERS + 100 and "left out" in long.text
        assert "[image, image/png, 400 bytes: not shown]" in (await box.call("tester__picture", {})).text
        mixed = (await box.call("tester__mixed", {})).text
    assert "first" in mixed and "The manual." in mixed and "some notes" in mixed and "image/gif, 3 bytes" in mixed


async def test_a_message_too_long_ends_the_connection_and_not_the_phase(place: Place) -> None:
    async with place.box(sdk()) as box:
        outcome = await box.call("tester__long_text", {"characters": 6_000_000})
        assert outcome.is_error and "more than" in outcome.text
        assert (await box.call("tester__add", {"a": 1, "b": 1})).text == "2"


async def test_arguments_of_any_text_and_number_are_sent(place: Place) -> None:
    async with place.box(sdk()) as box:
        odd = await box.call("tester__write", {"path": "odd.txt", "text": "half \ud800, NUL \x00, line\nbreak"})
        assert not odd.is_error, odd.text
        assert (await box.call("tester__sleep", {"seconds": float("inf")})).is_error
        assert (await box.call("tester__add", {"a": 10**4_000, "b": 1})).is_error in (True, False)
        assert (await box.call("tester__add", {"a": 1, "b": 1})).text == "2"
    assert (place.worktree / "odd.txt").read_text() == "half ?, NUL \x00, line\nbreak"


async def test_effects_are_what_the_workspace_says(place: Place) -> None:
    async with place.box(sdk(), raw("well").model_copy(update={"unsafe": False})) as box:
        assert box.effect_of("tester__add") is Effect.UNSAFE
        assert box.effect_of("raw__ask") is Effect.IDEMPOTENT
        assert box.effect_of("nobody__knows") is Effect.UNSAFE
        assert (await box.call("nobody__knows", {})).is_error


async def test_nothing_of_a_server_is_left_when_the_box_closes(place: Place) -> None:
    async with place.box(sdk()) as box:
        child = int((await box.call("tester__start_child", {})).text)
        assert child > 0 and len(place.living()) >= 2
    assert place.living() == []


async def test_nothing_is_left_when_the_caller_is_cancelled_in_a_call(place: Place) -> None:
    calling = asyncio.Event()

    async def phase() -> None:
        async with place.box(raw("hang-in-call")) as box:
            calling.set()
            await box.call("raw__ask", {})

    running = asyncio.create_task(phase())
    await calling.wait()
    await asyncio.sleep(0.2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert place.living() == []


WORKER = """
import asyncio, sys
from pathlib import Path
from tests.adapters.mcp.conftest import Place, raw, sdk

async def main():
    async with Place(Path(sys.argv[1]), token=sys.argv[2]).box(sdk(), raw("hang-in-call")) as box:
        await box.call("tester__start_child", {})
        print("ready", flush=True)
        await box.call("raw__ask", {})

asyncio.run(main())
"""


async def test_nothing_is_left_when_the_worker_is_killed(place: Place) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(place.worktree), place.token, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"ready\n"
    assert len(place.living()) >= 3
    worker.kill()
    await worker.wait()
    await place.none_is_left()


@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [
        ("hang-at-start", ErrorKind.TIMEOUT, "did not answer in time"),
        ("hang-at-list", ErrorKind.TIMEOUT, "did not answer in time"),
        ("die-at-start", ErrorKind.CONNECTION, "cannot find my database"),
        ("garbage-at-start", ErrorKind.CONNECTION, "not valid"),
        ("unknown-version", ErrorKind.PLUGIN, "1987-01-01"),
        ("list-refused", ErrorKind.PLUGIN, "no tools today"),
        ("list-is-no-list", ErrorKind.PLUGIN, "none of the protocol's"),
    ],
)
async def test_a_server_that_cannot_start_fails_the_phase_by_name(
    place: Place, mode: str, kind: ErrorKind, words: str
) -> None:
    with pytest.raises(PhaseFailure) as caught:
        async with place.box(raw("well"), raw(mode, name="broken"), start_seconds=3.0):
            raise AssertionError("it must not open")
    error = caught.value.error
    assert error.kind is kind
    assert "`broken`" in error.message and words in f"{error.message} {error.excerpt}" and error.hint
    assert ("exit code" in f"{error.message} {error.excerpt}") is (mode == "die-at-start"), "only what it did itself"
    assert place.living() == []


async def test_a_program_that_does_not_exist_fails_the_phase_by_name(place: Place) -> None:
    with pytest.raises(PhaseFailure) as caught:
        async with place.box(McpServer(name="gone", command=("no-such-program", "--serve"))):
            raise AssertionError("it must not open")
    assert caught.value.error.kind is ErrorKind.SANDBOX
    assert "`gone`" in caught.value.error.message and "no-such-program" in caught.value.error.message


@pytest.mark.parametrize(
    ("mode", "limit_seconds", "words"),
    [
        ("hang-in-call", 1.0, "within 1 s"),
        ("deaf", 1.0, "within 1 s"),
        ("die-in-call", 60.0, "out of memory"),
        ("garbage-in-call", 60.0, "not valid"),
        ("flood-of-notices", 60.0, "floods"),
        ("flood-of-requests", 60.0, "floods"),
        ("flood-of-text", 60.0, "floods"),
        ("line-without-end", 60.0, "more than"),
    ],
)
async def test_a_server_that_breaks_in_a_call_is_told_and_after_some_times_left_alone(
    place: Place, tmp_path: Path, mode: str, limit_seconds: float, words: str
) -> None:
    starts = place.worktree / "starts"
    async with place.box(raw(mode, str(starts)), raw("well", name="good"), limit_seconds=limit_seconds) as box:
        for _ in range(MOST_SESSIONS):
            outcome = await box.call("raw__ask", {})
            assert outcome.is_error and words in outcome.text and "not known" in outcome.text
        refused = await box.call("raw__ask", {})
        assert refused.is_error and "not started again" in refused.text
        assert (await box.call("good__ask", {})).text == "ask answers", "the others go on"
    assert starts.read_text().splitlines() == ["started"] * MOST_SESSIONS
    await place.none_is_left()


async def test_a_server_that_died_between_two_calls_is_started_anew_every_time(place: Place) -> None:
    async with place.box(sdk(), limit_seconds=30.0) as box:
        for _ in range(MOST_SESSIONS + 1):
            died = await box.call("tester__die", {"words": "goodbye cruel world"})
            assert died.is_error and "exit code 3" in died.text and "goodbye cruel world" in died.text
            assert (await box.call("tester__add", {"a": 1, "b": 1})).text == "2"


async def test_an_answer_that_is_no_result_is_an_error_of_that_call_only(place: Place, tmp_path: Path) -> None:
    starts = place.worktree / "starts"
    async with place.box(raw("no-result-in-call", str(starts))) as box:
        for _ in range(5):
            outcome = await box.call("raw__ask", {})
            assert outcome.is_error and "no result" in outcome.text
    assert starts.read_text().splitlines() == ["started"]


async def test_a_server_older_than_the_question_for_its_version_is_used(place: Place) -> None:
    """Strict servers end at anything that comes before `initialize`."""
    async with place.box(raw("ends-at-the-probe", "starts")) as box:
        assert (await box.call("raw__ask", {})).text == "ask answers"
    assert (place.worktree / "starts").read_text().splitlines() == ["started"] * 2


async def test_lines_that_are_no_messages_are_passed_over(place: Place) -> None:
    async with place.box(raw("banner")) as box:
        assert (await box.call("raw__ask", {})).text == "ask answers"


async def test_a_list_that_changes_is_read_again(place: Place) -> None:
    async with place.box(raw("tools-change")) as box:
        assert [spec.name for spec in box.specs] == ["raw__ask"]
        assert (await box.call("raw__ask", {})).text == "ask answers"
        assert [spec.name for spec in box.specs] == ["raw__answer"]
        gone = await box.call("raw__ask", {})
        assert gone.is_error and "any more" in gone.text
        assert (await box.call("raw__answer", {})).text == "answer answers"


async def test_a_tool_that_is_gone_without_notice_is_an_error_of_the_call(place: Place) -> None:
    async with place.box(raw("tool-is-gone")) as box:
        outcome = await box.call("raw__ask", {})
        assert outcome.is_error and "Unknown tool: ask" in outcome.text
        assert box.specs == ()


async def test_a_list_without_end_is_read_so_far(place: Place) -> None:
    async with place.box(raw("list-without-end"), start_seconds=30.0) as box:
        assert 1 < len(box.specs) <= 100


async def test_only_usable_tools_are_offered_each_once_with_capped_words(place: Place, tmp_path: Path) -> None:
    tools = """[
        {"name": "good", "description": "%s", "inputSchema": {"type": "object"}},
        {"name": "good", "description": "again", "inputSchema": {"type": "object"}},
        {"name": "bad", "inputSchema": {"type": "object", "properties": {"a": {"type": "nonsense"}}}},
        {"name": "plain", "title": "A title", "inputSchema": {"type": "object"}}
    ]""" % ("word " * 5_000)
    async with place.box(raw("tools", str(place.worktree / "starts"), tools)) as box:
        assert [spec.name for spec in box.specs] == ["raw__good", "raw__plain"]
        assert len(box.specs[0].description) <= 2_001
        assert box.specs[1].description == "A title"
