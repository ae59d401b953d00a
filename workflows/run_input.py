"""Reads what outsiders send: raw payloads, validated inside, so that nothing undecodable hangs or vanishes."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

INVALID_INPUT = "invalid_input"
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
        named = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'input'}: {p['msg']}" for p in problems[:SHOWN_PROBLEMS])
        raise refusal(f"{what} is not valid: {named}") from None


def refusal(message: str, kind: str = INVALID_INPUT) -> ApplicationError:
    return ApplicationError(message, type=kind, non_retryable=True)
