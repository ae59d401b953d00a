"""What a model answered, read tolerantly: JSON wherever it stands in the reply, diffs in their fences.

Each reader raises PhaseFailure(invalid_output) that says what is wrong with the reply and what was expected, so that
the next iteration's prompt can carry it.
"""

import json
import re
from collections.abc import Iterator
from typing import TypeVar

from pydantic import Field, ValidationError, field_validator

from domain.base import Frozen
from domain.errors import PhaseFailure
from domain.runs.failure import EXCERPT_LIMIT, ErrorKind, PhaseError

FILES_SHAPE = '{"files": {"path": "whole new text", "path to delete": null}}'
VERDICT_SHAPE = '{"approved": true or false, "comments": "..."}'
_STARTS_TRIED = 200
"""Opening braces that are tried as the start of a JSON object; a reply of prose and code has few before its answer."""
_START = re.compile(r'\{\s*["}]')
_DIFF_FENCE = re.compile(r"^(`{3,}|~{3,})(?:diff|patch)[^\n]*\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL | re.IGNORECASE)
_BARE_DIFF = re.compile(r"^(?:diff --git |--- \S).*", re.MULTILINE | re.DOTALL)
_DIFF_BODY = re.compile(r"^(?:@@ |rename from |deleted file mode |new file mode |old mode )", re.MULTILINE)


class FilesOutput(Frozen):
    """`output: files`: path -> whole new text, None to delete."""

    files: dict[str, str | None] = Field(min_length=1)

    @field_validator("files")
    @classmethod
    def _can_be_written(cls, files: dict[str, str | None]) -> dict[str, str | None]:
        for path, text in files.items():
            if not path.strip() or any(ord(char) < 32 for char in path):
                raise ValueError(f"{path!r} is not a path")
            for part in (path, text or ""):
                try:
                    part.encode()
                except UnicodeEncodeError as error:
                    raise ValueError(f"the text of {path!r} is not valid Unicode ({error.reason})") from None
        return files


class Verdict(Frozen):
    """A review: approved, or what must change."""

    approved: bool
    comments: str = ""

    @field_validator("comments", mode="before")
    @classmethod
    def _list_of_comments(cls, value: object) -> object:
        return "\n".join(f"- {item}" for item in value) if isinstance(value, list) else value


Expected = TypeVar("Expected", FilesOutput, Verdict)


def files_of(reply: str) -> dict[str, str | None]:
    """The files of `{"files": {...}}`."""
    return _read(reply, FilesOutput, f"The phase has `output: files`: answer with {FILES_SHAPE}.").files


def verdict_of(reply: str) -> Verdict:
    """The verdict of `{"approved": ..., "comments": ...}`; changes asked for without a word are refused."""
    verdict = _read(reply, Verdict, f"A review is asked for: answer with {VERDICT_SHAPE}.")
    if not verdict.approved and not verdict.comments.strip():
        raise _invalid("The review asks for changes but has no comments", reply, "Say in `comments` what must change.")
    return verdict


def patch_of(reply: str) -> str:
    """The unified diff of the reply: its diff fences put together, or the reply from where a diff begins."""
    fenced = [body for _, body in _DIFF_FENCE.findall(reply)]
    bare = _BARE_DIFF.search(reply) if not fenced else None
    patch = "".join(fenced) if fenced else (bare.group() if bare else "")
    if not _DIFF_BODY.search(patch):
        raise _invalid(
            "The reply has no unified diff",
            reply,
            "The phase has `output: patch`: answer with one ```diff block as `git diff` writes it.",
        )
    return patch if patch.endswith("\n") else patch + "\n"


def _read(reply: str, expected: type[Expected], wanted: str) -> Expected:
    """The last JSON object of the reply that has the expected shape; `wanted` says which, for who answers."""
    found: Expected | None = None
    problem = ""
    for value in _objects(reply):
        try:
            found = expected.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            problem = f"{where}: {first['msg']}" if where else first["msg"]
    if found is not None:
        return found
    if problem:
        raise _invalid(f"The reply's JSON object is not as asked ({problem})", reply, wanted)
    if _START.search(reply):
        raise _invalid(
            "The reply's JSON object is broken or cut off",
            reply[-EXCERPT_LIMIT:],
            f"{wanted} When it was cut off, raise max_output_tokens of the phase or ask for less at once.",
        )
    raise _invalid("The reply has no JSON object", reply, wanted)


def _objects(reply: str) -> Iterator[object]:
    decoder, position = json.JSONDecoder(strict=False), 0
    for _ in range(_STARTS_TRIED):
        start = _START.search(reply, position)
        if start is None:
            return
        try:
            value, position = decoder.raw_decode(reply, start.start())
        except (ValueError, RecursionError):
            position = start.start() + 1
        else:
            yield value


def _invalid(what: str, reply: str, hint: str) -> PhaseFailure:
    return PhaseFailure(
        PhaseError(
            kind=ErrorKind.INVALID_OUTPUT,
            message=f"{what}.",
            excerpt=reply.strip()[:EXCERPT_LIMIT] or "(the reply is empty)",
            hint=hint,
        )
    )
