"""A script: replies of the scripted provider, matched by role, turn and iteration. Format: docs/models.md."""

import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from domain.base import Frozen
from domain.errors import InvalidInput
from domain.models.messages import Finish, TokenUsage, ToolCall
from domain.runs.failure import ErrorKind

ANY: Literal["*"] = "*"


class ScriptedError(Frozen):
    """A failure that the reply stands for."""

    kind: ErrorKind
    message: str = ""
    retry_after_seconds: float | None = Field(default=None, ge=0)


class ScriptedUsage(Frozen):
    """What the reply declares as used; what is left out is unknown."""

    tokens_in: int | None = Field(default=None, ge=0)
    tokens_out: int | None = Field(default=None, ge=0)
    tokens_cached: int | None = Field(default=None, ge=0)
    billed_usd: Decimal | None = Field(default=None, ge=0)

    def as_usage(self) -> TokenUsage:
        return TokenUsage.model_validate(self.model_dump())


class ScriptedToolCall(Frozen):
    """One tool call of a reply."""

    name: str
    arguments: object = None
    """Any YAML value, sent as JSON; left out: an empty object."""
    raw: str | None = None
    """The text of the arguments as it is, in place of `arguments`: for what is no JSON, or cut off."""
    id: str | None = None
    """Else made of iteration, turn and place."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.raw is not None and "arguments" in self.model_fields_set:
            raise ValueError("give `arguments` or `raw`, not both")
        return self

    @property
    def text(self) -> str:
        if self.raw is not None:
            return self.raw
        return _json(self.arguments) if "arguments" in self.model_fields_set else "{}"


class ScriptedReply(Frozen):
    """One answer: exactly one of `text`, `files`, `patch`, `json` and `error`, or `tool_calls` with or without `text`;
    or `turns`, a list of answers."""

    role: str = ANY
    turn: int | Literal["*"] = ANY
    """Of the model's calls in an agent phase the n-th, from 1; elsewhere as `iteration`."""
    iteration: int | Literal["*"] = ANY
    """For which time the role's phase is done in the run, from 1: its iteration, and once more for each retry."""
    text: str | None = None
    files: dict[str, str | None] | None = None
    """Path -> whole new text, null to delete: answered as the JSON object that `output: files` phases read."""
    patch: str | None = None
    """A unified diff, answered as it is."""
    json_value: object = Field(default=None, alias="json")
    """Any YAML value, answered as JSON."""
    tool_calls: tuple[ScriptedToolCall, ...] = ()
    """Several are parallel calls."""
    finish: Finish | None = None
    """Why the reply ended: `length` for a truncated one; else `tool_calls` where there are some, or `stop`."""
    error: ScriptedError | None = None
    turns: "tuple[ScriptedReply, ...]" = ()
    """The answers to turn 1, 2, ... of this role and iteration, in order."""
    delay_seconds: float = Field(default=0.0, ge=0, le=3_600)
    usage: ScriptedUsage | None = None
    """Over the script's own `usage`."""

    @model_validator(mode="before")
    @classmethod
    def _short_error(cls, value: object) -> object:
        if isinstance(value, dict) and isinstance(value.get("error"), str):
            return {**value, "error": {"kind": value["error"]}}
        return value

    @model_validator(mode="after")
    def _one_answer(self) -> Self:
        if isinstance(self.turn, int) and self.turn < 1:
            raise ValueError("turn counts from 1")
        if isinstance(self.iteration, int) and self.iteration < 1:
            raise ValueError("iteration counts from 1")
        given = self.model_fields_set & {"text", "files", "patch", "json_value", "error", "turns"}
        if len(given) != 1 and not self.tool_calls:
            raise ValueError("give exactly one of text, files, patch, json, error and turns, or tool_calls")
        if self.tool_calls and given - {"text"}:
            raise ValueError("beside tool_calls only text is possible")
        if "turns" in given and (self.turn != ANY or not self.turns):
            raise ValueError("turns is a list of replies, counted from 1: leave `turn` out beside it")
        if any(reply.model_fields_set & {"role", "turn", "iteration", "turns"} for reply in self.turns):
            raise ValueError("replies in turns have no role, turn, iteration or turns of their own")
        return self

    def each(self) -> "Iterator[ScriptedReply]":
        """Itself, or the replies of its `turns`."""
        if not self.turns:
            yield self
        for turn, reply in enumerate(self.turns, 1):
            yield reply.model_copy(update={"role": self.role, "iteration": self.iteration, "turn": turn})

    def calls(self, turn: int, iteration: int) -> tuple[ToolCall, ...]:
        """Its tool calls, with ids that differ from those of every other turn."""
        return tuple(
            ToolCall(id=call.id or f"call_{iteration}_{turn}_{place}", name=call.name, arguments=call.text)
            for place, call in enumerate(self.tool_calls, 1)
        )

    @property
    def ended(self) -> Finish:
        return self.finish or (Finish.TOOL_CALLS if self.tool_calls else Finish.STOP)

    @property
    def body(self) -> str:
        """The text that the model answers."""
        if self.text is not None:
            return self.text
        if self.files is not None:
            return json.dumps({"files": self.files}, ensure_ascii=False)
        if self.tool_calls:
            return ""
        return self.patch if self.patch is not None else _json(self.json_value)


class Script(Frozen):
    replies: tuple[ScriptedReply, ...] = Field(min_length=1)
    usage: ScriptedUsage = ScriptedUsage()
    """Of every reply that declares none."""
    model_answered: str | None = None
    """What the script says answered; else its own name."""

    @cached_property
    def _by_key(self) -> dict[tuple[str, object, object], ScriptedReply]:
        found: dict[tuple[str, object, object], ScriptedReply] = {}
        for entry in self.replies:
            for reply in entry.each():
                found.setdefault((reply.role, reply.turn, reply.iteration), reply)
        return found

    def reply(self, role: str, turn: int, iteration: int) -> ScriptedReply | None:
        """The most exact match: the role counts before the turn, the turn before the iteration; of equal ones the
        first."""
        for wanted in product((role, ANY), (turn, ANY), (iteration, ANY)):
            reply = self._by_key.get(wanted)
            if reply is not None:
                return reply
        return None

    def known(self) -> tuple[str, ...]:
        """What there are replies for, in words."""
        return tuple(sorted({_named(role, turn, iteration) for role, turn, iteration in self._by_key}))


def _named(role: str, turn: object, iteration: object) -> str:
    return f"{role} turn {turn}" + ("" if iteration == ANY else f" of iteration {iteration}")


def _json(value: object) -> str:
    """What YAML reads as a date or another type that JSON lacks goes as its text."""
    return json.dumps(value, ensure_ascii=False, default=str)


def load_script(path: Path) -> Script:
    """Reads and validates a script. Raises InvalidInput naming the file, and line or field (never its content,
    which may be any file of this machine), and FileNotFoundError."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidInput(f"Script {path}: line {line} is not YAML.", hint="See docs/models.md.") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        raise InvalidInput(f"Script {path} is not UTF-8 YAML.", hint="See docs/models.md.") from None
    try:
        return Script.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise InvalidInput(
            f"Script {path}: {field}: {first['msg']}.", hint="See docs/models.md.", field=field
        ) from None
