"""Reads what outsiders send: raw payloads, validated inside, so that nothing undecodable hangs or vanishes."""

from collections.abc import Iterator
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

INVALID_INPUT = "invalid_input"
NOT_PERMITTED = "Extra inputs are not permitted"
OURS = ("state",)
"""Fields that only continue-as-new fills."""
SHOWN_PROBLEMS = 10
"""Field errors named in one message."""

Message = TypeVar("Message", bound=BaseModel)


def read(raw: RawValue, message: type[Message], what: str) -> Message:
    """Raises ApplicationError(invalid_input) that names each wrong field."""
    if not raw.payload.data:
        raise refusal(f'{what} has no input; give a JSON object such as {{"task": "...", "repo": "..."}}.')
    try:
        return message.model_validate_json(raw.payload.data, strict=False)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        named = "; ".join(_named(problem["loc"], problem["msg"], message) for problem in problems[:SHOWN_PROBLEMS])
        raise refusal(f"{what} is not valid: {named}") from None


def _named(place: tuple[int | str, ...], told: str, message: type[BaseModel]) -> str:
    """A field and what is wrong with it; an unknown one with those that there are."""
    text = f"{'.'.join(map(str, place)) or 'input'}: {told}"
    known = _fields(message, place[:-1]) if told == NOT_PERMITTED else ()
    return f"{text} (known: {', '.join(known)})" if known else text


def _fields(message: type[BaseModel], place: tuple[int | str, ...]) -> tuple[str, ...]:
    for part in place:
        field = message.model_fields.get(str(part))
        inner = [kind for kind in _kinds(field.annotation) if issubclass(kind, BaseModel)] if field else []
        if len(inner) != 1:
            return ()
        message = inner[0]
    return tuple(name for name in message.model_fields if name not in OURS)


def _kinds(annotation: Any) -> Iterator[type]:
    """The classes in `X`, or in `X | None`."""
    for kind in get_args(annotation) or (annotation,):
        if isinstance(kind, type):
            yield kind


def refusal(message: str, kind: str = INVALID_INPUT) -> ApplicationError:
    return ApplicationError(message, type=kind, non_retryable=True)
