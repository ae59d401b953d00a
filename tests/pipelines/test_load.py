"""Reading pipelines: what is right is read, and everything that is wrong is said with file, line and field."""

from pathlib import Path
from typing import get_args

import pytest

from domain.pipelines.spec import AgentPhase, CommandPhase, PhaseSpec
from pipelines import shipped
from pipelines.load import PHASE_MODELS, load_document, load_pipeline, parse_pipeline
from pipelines.problems import PipelineProblems

GOOD = """\
name: mine
phases:
  - name: plan
    kind: model
    prompt: prompts/plan.md
  - loop:
      max_iterations: 2
      phases:
        - {name: verify, kind: command, command: make test, verifies: true}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "plan.md").write_text("Plan: {{ task.change | fenced('task') }}\n")
    return tmp_path


def _problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(PipelineProblems) as raised:
        parse_pipeline(text, folder / "p.yaml")
    assert raised.value.hint
    return [
        f"{p.file.relative_to(folder)}:{p.line}: {p.field + ': ' if p.field else ''}{p.message}"
        for p in raised.value.problems
    ]


def test_a_pipeline_is_read_with_its_prompt_texts(folder: Path) -> None:
    (folder / "p.yaml").write_text(GOOD)
    pipeline = load_pipeline(folder / "p.yaml")
    assert pipeline.phase("plan").prompt == "Plan: {{ task.change | fenced('task') }}\n"  # type: ignore[union-attr]
    assert isinstance(pipeline.phase("verify"), CommandPhase)
    assert pipeline.loop is not None and pipeline.loop.max_iterations == 2


def test_the_version_follows_the_prompt_and_its_includes(folder: Path) -> None:
    (folder / "prompts" / "plan.md").write_text("A\n{% include 'part.md' %}\nB")
    (folder / "prompts" / "part.md").write_text("one\n")
    first = parse_pipeline(GOOD, folder / "p.yaml")
    (folder / "prompts" / "part.md").write_text("two\n")
    second = parse_pipeline(GOOD, folder / "p.yaml")
    assert first.content_hash != second.content_hash
    assert second.phase("plan").prompt == "A\ntwo\n\nB"  # type: ignore[union-attr]
    assert second.content_hash == parse_pipeline(GOOD + "# a comment\n", folder / "p.yaml").content_hash


def test_a_document_carries_the_files_that_it_was_read_from(folder: Path) -> None:
    (folder / "prompts" / "plan.md").write_text("A\n{% include 'part.md' %}\nB")
    (folder / "prompts" / "part.md").write_text("one\n")
    (folder / "prompts" / "other.md").write_text("not named\n")
    (folder / "p.yaml").write_text(GOOD)
    document = load_document(folder / "p.yaml")
    assert document.yaml == GOOD
    assert document.prompts == {
        "prompts/plan.md": "A\n{% include 'part.md' %}\nB",
        "prompts/part.md": "one\n",
    }


def test_every_problem_is_said_at_once(folder: Path) -> None:
    text = """\
name: Mine Own
limitz: {}
limits:
  tokens: many
  dollars: 3
phases:
  - name: plan
    kind: modle
    prompt: prompts/plan.md
  - name: build
    kind: command
    comand: make
  - name: build
    kind: git
    action: pusch
  - loop:
      max_iterations: 0
      retries: 3
      phases:
        - name: fix
          kind: model
          prompt: prompts/none.md
        - kind: review
          prompt: prompts/plan.md
        - just text
  - name: untyped
"""
    assert _problems(folder, text) == [
        "p.yaml:1: name: must be small letters, digits and dashes, start with a letter, and have at most 40 characters",
        "p.yaml:2: limitz: unknown field; did you mean `limits`?",
        "p.yaml:4: limits.tokens: Input should be a valid integer, unable to parse string as an integer",
        "p.yaml:5: limits.dollars: unknown field; known fields: tokens, cost_usd, time_seconds",
        "p.yaml:7: phases.0: unknown kind `modle`; did you mean `model`; known kinds: model, agent, review, command,"
        " git",
        "p.yaml:12: phases.1.comand: unknown field; did you mean `command`?",
        "p.yaml:13: phases.2.name: `build` is also the phase in line 10",
        "p.yaml:15: phases.2.action: Input should be 'commit' or 'deliver'",
        "p.yaml:17: phases.3.loop.max_iterations: Input should be greater than or equal to 1",
        "p.yaml:18: phases.3.loop.retries: unknown field; known fields: max_iterations, phases",
        "p.yaml:22: phases.3.loop.phases.0.prompt: there is no file `prompts/none.md` beside the pipeline's file",
        "p.yaml:23: phases.3.loop.phases.1.name: is missing",
        "p.yaml:25: phases.3.loop.phases.2: must be a mapping of fields",
        "p.yaml:26: phases.4: `kind` is missing; known kinds: model, agent, review, command, git",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "p.yaml:1: is empty; write a pipeline with `name` and `phases`"),
        ("# nothing\n", "p.yaml:1: is empty; write a pipeline with `name` and `phases`"),
        ("- a\n- b\n", "p.yaml:1: must be a mapping with `name` and `phases`"),
        ("just words", "p.yaml:1: must be a mapping with `name` and `phases`"),
        ("name: a\nphases:\n\t- x\n", "p.yaml:3: is indented with a tab; YAML indents with spaces"),
        ("name: a\nname: b\nphases: []\n", "p.yaml:2: name: stands twice (first in line 1); keep one"),
        ("name: a\n? [x]\n: 1\n", "p.yaml:2: a field's name must be plain text"),
        ("name: a\x07b\n", "p.yaml:1: has the character U+0007, which YAML does not allow"),
        (
            "name: [a\nphases: x\n",
            "p.yaml:2: is not YAML: expected ',' or ']', but got ':' while parsing a flow sequence",
        ),
        (
            "name: a\n---\nname: b\n",
            "p.yaml:2: is not YAML: but found another document expected a single document in the stream",
        ),
        ("a: &x\n  b: *x\n", "p.yaml:1: a.b: an alias names a part that contains it"),
        ("a: !!python/object:os.system x\n", "p.yaml:1: is not YAML: could not determine a constructor for the tag"),
        ("a: " + "[" * 5000, "p.yaml:1: is nested too deeply"),
        ("name: 2024-99-99\n", "p.yaml:1: name: cannot be read (month must be in 1..12); quote it"),
        ("name: a\nphases: []\n", "p.yaml:2: phases: Tuple should have at least 1 item after validation, not 0"),
        ("name: a\nphases: 3\n", "p.yaml:2: phases: Input should be a valid tuple"),
        ("name: a\n", "p.yaml:1: phases: is missing"),
        (
            "name: a\nphases:\n  - {name: on, kind: command, command: x}\n",
            "p.yaml:3: phases.0.name: must be text, and YAML reads it as True: quote it",
        ),
        (
            "name: a\nphases:\n  - {name: x, kind: command}\n",
            "p.yaml:3: phases.0: give exactly one of `command` and `workspace_command`",
        ),
        (
            "name: a\nphases:\n  - loop:\n      phases: [{name: x, kind: command, command: y}]\n"
            "  - loop:\n      phases: [{name: z, kind: command, command: y}]\n",
            "p.yaml:1: a pipeline has at most one loop",
        ),
        (
            "name: a\nphases:\n  - {name: c, kind: git, action: commit, message: '{{ tusk.subject }}'}\n",
            "p.yaml:3: phases.0.message: unknown name `tusk`; did you mean `task`?",
        ),
    ],
)
def test_bad_files(folder: Path, text: str, problem: str) -> None:
    found = _problems(folder, text)
    assert len(found) == 1
    assert found[0].startswith(problem)


def test_aliases_cannot_blow_up(folder: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    assert "aliases expand to too much" in _problems(folder, bomb)[0]


def test_a_huge_file_is_refused(folder: Path) -> None:
    assert "the limit is" in _problems(folder, "#" * 1_000_001)[0]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("prompts/empty.md", b" \n", "p.yaml:5: phases.0.prompt: `prompts/empty.md` is empty"),
        ("prompts/latin.md", b"\xe9", "p.yaml:5: phases.0.prompt: `prompts/latin.md` is not UTF-8 (byte 0)"),
        ("prompts/big.md", b"x" * 200_001, "p.yaml:5: phases.0.prompt: `prompts/big.md` has 200,001 bytes"),
        ("../x.md", None, "p.yaml:5: phases.0.prompt: `../x.md` leaves the pipeline's folder"),
        ("/etc/hostname", None, "p.yaml:5: phases.0.prompt: `/etc/hostname` leaves the pipeline's folder"),
        ("link.md", "/etc/hostname", "p.yaml:5: phases.0.prompt: `link.md` leaves the pipeline's folder"),
        ("prompts", None, "p.yaml:5: phases.0.prompt: `prompts` cannot be read: Is a directory"),
        ("prompts/x.md", b"a\n{% if task %}", "prompts/x.md:2: Unexpected end of template"),
        ("prompts/x.md", b"a\n\n{{ chnge }}", "prompts/x.md:3: unknown name `chnge`; known: diff"),
        ("prompts/x.md", b"{{ task.change | fence('x') }}", "prompts/x.md:1: No filter named 'fence'"),
        ("prompts/x.md", b"\n{% include 'no.md' %}", "prompts/x.md:2: there is no file `no.md`"),
        ("prompts/x.md", b"{% include '../../no.md' %}", "prompts/x.md:1: `../../no.md` leaves the pipeline's folder"),
        ("prompts/x.md", b"{% include task.change %}", "prompts/x.md:1: a template cannot name other files"),
        ("prompts/x.md", b"{% include 'x.md' %}", "prompts/x.md:1: `x.md` is included more than 5 deep"),
    ],
)
def test_bad_prompt_files(folder: Path, name: str, content: bytes | str | None, problem: str) -> None:
    if isinstance(content, str):
        (folder / name).symlink_to(content)
    elif content is not None:
        (folder / name).write_bytes(content)
    found = _problems(folder, GOOD.replace("prompts/plan.md", name))
    assert any(one.startswith(problem) for one in found), found


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PipelineProblems, match="cannot be read: No such file"):
        load_pipeline(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    with pytest.raises(PipelineProblems, match="is not UTF-8"):
        load_pipeline(tmp_path / "latin.yaml")


def test_the_table_of_kinds_is_the_specs_union() -> None:
    union = get_args(get_args(PhaseSpec)[0])
    assert set(PHASE_MODELS.values()) == set(union)
    for kind, model in PHASE_MODELS.items():
        assert get_args(model.model_fields["kind"].annotation)[0].value == kind


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_pipelines_are_good_and_named_as_their_folder(name: str) -> None:
    assert load_pipeline(shipped()[name]).name == name


def test_code_change_is_shipped_as_designed() -> None:
    pipeline = load_pipeline(shipped()["code-change"])
    assert [p.name for p in pipeline.all_phases] == ["plan", "implement", "commit", "self-review", "verify", "deliver"]
    assert pipeline.loop is not None
    assert [p.name for p in pipeline.loop.phases] == ["implement", "commit", "self-review", "verify"]


def test_an_agent_phase_is_read_and_its_errors_name_file_line_and_field(folder: Path) -> None:
    (folder / "prompts" / "agent.md").write_text("Do: {{ task.change | fenced('task') }}")
    text = """\
name: mine
phases:
  - name: implement
    kind: agent
    prompt: prompts/agent.md
    max_turns: 5
    unsafe_tools: [deploy]
"""
    pipeline = parse_pipeline(text, folder / "p.yaml")
    phase = pipeline.phase("implement")
    assert isinstance(phase, AgentPhase)
    assert (phase.prompt, phase.max_turns, phase.executor) == ("Do: {{ task.change | fenced('task') }}", 5, "builtin")
    bad = text.replace("max_turns: 5", "max_turns: 0").replace("unsafe_tools", "unsafe_tool") + "    executor: cursor\n"
    assert _problems(folder, bad) == [
        "p.yaml:6: phases.0.max_turns: Input should be greater than or equal to 1",
        "p.yaml:7: phases.0.unsafe_tool: unknown field; did you mean `unsafe_tools`?",
        "p.yaml:8: phases.0.executor: Input should be 'builtin', 'claude-code', 'codex', 'opencode' or 'aider'",
    ]
    assert _problems(folder, text.replace("agent.md", "none.md"))[0].startswith("p.yaml:5: phases.0.prompt: ")
