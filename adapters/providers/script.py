"""A script: replies of the scripted provider, matched by role and turn. Format: docs/models.md."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from domain.base import Frozen
from domain.errors import InvalidInput
from domain.models.messages import TokenUsage
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


class ScriptedReply(Frozen):
    """One answer: exactly one of `text`, `files`, `patch`, `json` and `error`."""

    role: str = ANY
    turn: int | Literal["*"] = ANY
    """The n-th call of the role in the run, from 1."""
    text: str | None = None
    files: dict[str, str | None] | None = None
    """Path -> whole new text, null to delete: answered as the JSON object that `output: files` phases read."""
    patch: str | None = None
    """A unified diff, answered as it is."""
    json_value: object = Field(default=None, alias="json")
    """Any YAML value, answered as JSON."""
    error: ScriptedError | None = None
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
        given = self.model_fields_set & {"text", "files", "patch", "json_value", "error"}
        if len(given) != 1:
            raise ValueError("give exactly one of text, files, patch, json and error")
        return self

    @property
    def body(self) -> str:
        """The text that the model answers."""
        if self.text is not None:
            return self.text
        if self.files is not None:
            return json.dumps({"files": self.files}, ensure_ascii=False)
        return self.patch if self.patch is not None else json.dumps(self.json_value, ensure_ascii=False)


class Script(Frozen):
    replies: tuple[ScriptedReply, ...] = Field(min_length=1)
    usage: ScriptedUsage = ScriptedUsage()
    """Of every reply that declares none."""
    model_answered: str | None = None
    """What the script says answered; else its own name."""

    def reply(self, role: str, turn: int) -> ScriptedReply | None:
        """The most exact match: role and turn, role, turn, the rest; of equal ones the first."""
        for wanted in ((role, turn), (role, ANY), (ANY, turn), (ANY, ANY)):
            for reply in self.replies:
                if (reply.role, reply.turn) == wanted:
                    return reply
        return None


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
