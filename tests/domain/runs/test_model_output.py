"""Replies as models really write them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import PhaseFailure
from domain.runs.failure import EXCERPT_LIMIT, ErrorKind
from domain.runs.model_output import files_of, patch_of, verdict_of

FILES = {"src/a.py": 'print("```")\n', "old.py": None}
PATCH = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps({"files": FILES}),
        f"Here it is:\n```json\n{json.dumps({'files': FILES}, indent=2)}\n```\nDone.",
        f"~~~\n{json.dumps({'files': FILES})}\n~~~",
        f'The shape is {{"files": {{}}}} so: {json.dumps({"files": FILES})} and {{"note": 1}}',
        f"In C: if (x) {{ y(); }}\n{json.dumps({'files': FILES})}",
    ],
)
def test_files_are_found_wherever_they_stand(reply: str) -> None:
    assert files_of(reply) == FILES


def test_line_breaks_inside_strings_are_forgiven() -> None:
    assert files_of('{"files": {"a": "x\ny\n"}}') == {"a": "x\ny\n"}


def test_the_last_answer_counts() -> None:
    assert files_of('{"files": {"a": "1"}} no, better: {"files": {"a": "2"}}') == {"a": "2"}


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("", "no JSON object"),
        ("I cannot do that.", "no JSON object"),
        ('{"files": {"a": "long tex', "broken or cut off"),
        ('{"files": {}}', "files: Dictionary should have at least 1 item"),
        ('{"files": ["a"]}', "files: Input should be a valid dictionary"),
        ('{"files": {"a": 3}}', "files.a: Input should be a valid string"),
        ('{"file": {"a": "x"}}', "not as asked"),
        ('{"files": {"": "x"}}', "'' is not a path"),
        ('{"files": {"a\\u0000b": "x"}}', "is not a path"),
        ('{"files": {"a": "\\ud800"}}', "not valid Unicode"),
        ('{"a":' * 100_000, "broken or cut off"),
    ],
)
def test_a_wrong_reply_says_what_is_wrong(reply: str, says: str) -> None:
    with pytest.raises(PhaseFailure) as raised:
        files_of(reply)
    error = raised.value.error
    assert error.kind is ErrorKind.INVALID_OUTPUT
    assert says in error.message
    assert "`output: files`" in error.hint, "which kind of answer the phase wants"
    assert 0 < len(error.excerpt) <= EXCERPT_LIMIT


def test_a_verdict() -> None:
    assert verdict_of('Looks good.\n```json\n{"approved": true, "comments": ""}\n```').approved
    asked = verdict_of('{"approved": false, "comments": ["rename x", "test y"]}')
    assert (asked.approved, asked.comments) == (False, "- rename x\n- test y")


@pytest.mark.parametrize(
    "reply", ['{"approved": false}', '{"approved": "maybe", "comments": "x"}', '{"comments": "x"}']
)
def test_a_verdict_that_says_nothing_is_refused(reply: str) -> None:
    with pytest.raises(PhaseFailure):
        verdict_of(reply)


def test_patches_are_found_in_fences_and_bare() -> None:
    fenced = f"First:\n```diff\n{PATCH}```\nThen:\n```patch\n{PATCH}```\n"
    assert patch_of(fenced) == PATCH * 2
    assert patch_of(f"Sure.\n{PATCH}".rstrip()) == PATCH
    assert patch_of(f"diff --git a/x b/x\n{PATCH}").startswith("diff --git")
    inside = PATCH + "+```\n+code\n"
    assert patch_of(f"```diff\n{inside}```") == inside


@pytest.mark.parametrize("reply", ["", "no diff", "```diff\n```", "```python\nx = 1\n```", "--- a heading"])
def test_a_reply_without_a_patch_is_refused(reply: str) -> None:
    with pytest.raises(PhaseFailure, match="no unified diff") as raised:
        patch_of(reply)
    assert "`output: patch`" in raised.value.error.hint


@given(st.text() | st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)).map(json.dumps))
def test_any_reply_gives_a_value_or_a_phase_failure(reply: str) -> None:
    for read in (files_of, patch_of, verdict_of):
        try:
            read(reply)
        except PhaseFailure as failure:
            assert failure.error.excerpt
