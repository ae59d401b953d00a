"""The scripted provider: matching by role and turn, conveniences, declared errors, and what is wrong with a script."""

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.providers.script import ScriptedReply, load_script
from adapters.providers.scripted import ScriptedProvider
from domain.models.messages import (
    CallRefused,
    Finish,
    Message,
    ModelReply,
    ModelRequest,
    Speaker,
    TokenUsage,
    ToolCall,
)
from domain.models.policy import ProviderKind, ProviderSettings
from domain.runs.failure import ErrorKind, PhaseError

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = ProviderSettings(name="scripted", kind=ProviderKind.SCRIPTED)

SCRIPT = """
usage: {tokens_in: 100, tokens_out: 10}
replies:
  - role: coder
    turn: 1
    text: first
    usage: {tokens_in: 7, tokens_out: 3, tokens_cached: 2, billed_usd: "0.5"}
  - role: coder
    files: {src/a.py: "x = 1\\n", gone.py: null}
  - role: reviewer
    json: {approved: true, comments: ""}
  - role: planner
    patch: |
      --- a/x
      +++ b/x
  - role: judge
    turn: 2
    error: {kind: rate_limited, message: "slow down", retry_after_seconds: 3}
  - role: judge
    turn: 3
    error: overloaded
"""


def _request(model: str, role: str, turn: int = 1, iteration: int = 1) -> ModelRequest:
    messages = (Message(speaker=Speaker.USER, text="go"),)
    return ModelRequest(model=model, messages=messages, role=role, turn=turn, iteration=iteration)


async def _answer(folder: Path, model: str, role: str, turn: int = 1, iteration: int = 1) -> ModelReply:
    return await ScriptedProvider(folder).call(_request(model, role, turn, iteration), SETTINGS)


async def _refusal(folder: Path, model: str, role: str = "coder", turn: int = 1) -> PhaseError:
    with pytest.raises(CallRefused) as refused:
        await _answer(folder, model, role, turn)
    assert refused.value.maybe_billed is False
    return refused.value.error


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    (tmp_path / "sample.yaml").write_text(SCRIPT)
    return tmp_path


async def test_a_reply_is_matched_by_role_and_turn_before_the_role_alone(shipped: Path) -> None:
    first = await _answer(shipped, "sample", "coder", 1)
    later = await _answer(shipped, "sample", "coder", 2)
    assert first.text == "first"
    assert json.loads(later.text) == {"files": {"src/a.py": "x = 1\n", "gone.py": None}}
    assert (await _answer(shipped, "sample", "coder", 9)).text == later.text


async def test_json_and_patch_are_answered_as_text(shipped: Path) -> None:
    assert json.loads((await _answer(shipped, "sample", "reviewer")).text) == {"approved": True, "comments": ""}
    assert (await _answer(shipped, "sample", "planner")).text == "--- a/x\n+++ b/x\n"


async def test_usage_is_the_declared_one_and_unknown_where_nothing_is_declared(shipped: Path) -> None:
    own = await _answer(shipped, "sample", "coder", 1)
    default = await _answer(shipped, "sample", "coder", 2)
    assert own.usage == TokenUsage(tokens_in=7, tokens_out=3, tokens_cached=2, billed_usd=Decimal("0.5"))
    assert default.usage == TokenUsage(tokens_in=100, tokens_out=10)
    assert default.model_answered == "sample"
    (shipped / "bare.yaml").write_text("replies: [{text: hello}]")
    assert (await _answer(shipped, "bare", "anyone")).usage == TokenUsage()


AGENT = """
replies:
  - role: coder
    turns:
      - tool_calls: [{name: read_file, arguments: {path: a.py}}, {name: list_files}]
      - text: One more thing.
        tool_calls: [{name: write_file, raw: '{"path": "a.py", "te', id: mine}]
        finish: length
      - text: done
  - role: coder
    iteration: 2
    turns:
      - tool_calls: [{name: finish, arguments: {summary: "2026-01-01", day: 2026-01-01}}]
  - {role: coder, iteration: 3, text: third}
"""


async def test_turns_of_an_agent_are_listed_once_and_differ_by_iteration(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text(AGENT)
    first = await _answer(tmp_path, "agent", "coder", 1)
    assert (first.text, first.finish) == ("", Finish.TOOL_CALLS)
    assert first.tool_calls == (
        ToolCall(id="call_1_1_1", name="read_file", arguments='{"path": "a.py"}'),
        ToolCall(id="call_1_1_2", name="list_files", arguments="{}"),
    )
    second = await _answer(tmp_path, "agent", "coder", 2)
    assert (second.text, second.finish) == ("One more thing.", Finish.LENGTH)
    assert second.tool_calls == (ToolCall(id="mine", name="write_file", arguments='{"path": "a.py", "te'),)
    third = await _answer(tmp_path, "agent", "coder", 3)
    assert (third.text, third.finish, third.tool_calls) == ("done", Finish.STOP, ())
    anew = await _answer(tmp_path, "agent", "coder", 1, iteration=2)
    assert [(call.id, json.loads(call.arguments)) for call in anew.tool_calls] == [
        ("call_2_1_1", {"summary": "2026-01-01", "day": "2026-01-01"})
    ]
    assert (await _answer(tmp_path, "agent", "coder", 2, iteration=2)).text == second.text, "turn before iteration"
    assert (await _answer(tmp_path, "agent", "coder", 4, iteration=3)).text == "third"
    missing = await _refusal(tmp_path, "agent", "coder", 4)
    assert "role `coder`, turn 4, iteration 1" in missing.message
    assert "coder turn 1 of iteration 2" in missing.hint and "coder turn * of iteration 3" in missing.hint


async def test_an_error_is_a_refusal_of_its_kind(shipped: Path) -> None:
    limited = await _refusal(shipped, "sample", "judge", 2)
    assert (limited.kind, limited.message, limited.retry_after_seconds) == (ErrorKind.RATE_LIMITED, "slow down", 3.0)
    assert (await _refusal(shipped, "sample", "judge", 3)).kind is ErrorKind.OVERLOADED


async def test_a_script_by_absolute_path_is_read_anew_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere" / "own.yaml"
    path.parent.mkdir()
    path.write_text("replies: [{text: one}]")
    provider = ScriptedProvider(tmp_path)
    assert (await provider.call(_request(str(path), "coder"), SETTINGS)).text == "one"
    path.write_text("replies: [{text: two}]")
    os.utime(path, ns=(1, 1))
    assert (await provider.call(_request(str(path), "coder"), SETTINGS)).text == "two"


@pytest.mark.parametrize("name", ["nosuch", "../sample", "sub/sample", "/no/such/file.yaml"])
async def test_an_unknown_script_is_named_with_the_shipped_ones(shipped: Path, name: str) -> None:
    error = await _refusal(shipped, name)
    assert error.kind is ErrorKind.NOT_FOUND
    assert f"`{name}`" in error.message
    assert "sample" in error.hint


async def test_a_missing_reply_names_role_turn_and_what_there_is(shipped: Path) -> None:
    error = await _refusal(shipped, "sample", "judge", 7)
    assert error.kind is ErrorKind.INVALID_REQUEST
    assert "role `judge`, turn 7" in error.message
    assert "judge turn 2" in error.hint and "coder turn *" in error.hint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("replies: [", "line"),
        ("replies: []", "replies"),
        ("replies: [{role: coder}]", "replies.0"),
        ("replies: [{text: a, patch: b}]", "exactly one"),
        ("replies: [{text: a, turn: 0}]", "turn counts from 1"),
        ("replies: [{text: a, iteration: 0}]", "iteration counts from 1"),
        ("replies: [{turns: [{text: a}, {text: b, patch: c}]}]", "replies.0.turns.1"),
        ("replies: [{turns: []}]", "turns is a list"),
        ("replies: [{turn: 1, turns: [{text: a}]}]", "leave `turn` out"),
        ("replies: [{turns: [{role: b, text: a}]}]", "of their own"),
        ("replies: [{error: timeout, tool_calls: [{name: a}]}]", "beside tool_calls"),
        ("replies: [{tool_calls: [{name: a, arguments: 1, raw: b}]}]", "replies.0.tool_calls.0"),
        ("replies: [{text: a, colour: red}]", "replies.0.colour"),
        ("replies: [{error: no_such_kind}]", "replies.0.error.kind"),
        ("password-file-line: hunter2", "replies"),
        ("just a text", "the whole file"),
    ],
)
async def test_a_bad_script_says_what_is_wrong_and_shows_no_content(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    error = await _refusal(tmp_path, "bad")
    assert error.kind is ErrorKind.INVALID_REQUEST
    assert "bad.yaml" in error.message and says in error.message
    assert "hunter2" not in error.message


async def test_bytes_that_are_not_text_and_a_folder_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00replies")
    (tmp_path / "folder.yaml").mkdir()
    assert "not UTF-8 YAML" in (await _refusal(tmp_path, "bytes")).message
    assert "cannot be read" in (await _refusal(tmp_path, "folder")).message


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines" / "scripts").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_script_is_valid(path: Path) -> None:
    assert load_script(path).replies


def test_the_documented_script_is_valid(tmp_path: Path) -> None:
    documented = (ROOT / "docs" / "models.md").read_text().split("```yaml\n")[1].split("```")[0]
    (tmp_path / "documented.yaml").write_text(documented)
    script = load_script(tmp_path / "documented.yaml")
    assert {reply.role for reply in script.replies} == {"planner", "coder", "agent", "reviewer", "judge"}
    described = {name for name in ScriptedReply.model_fields if name != "json_value"} | {"json"}
    assert all(f"{name}:" in documented for name in described), "docs/models.md shows every field of a reply"
