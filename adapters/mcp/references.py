"""Values of a server's environment and headers, with references resolved: the last moment before it is reached."""

from collections.abc import Mapping

from domain.agents.mcp_servers import reference_in
from domain.errors import InvalidInput, PhaseFailure
from domain.runs.failure import ErrorKind, PhaseError
from domain.secrets import SecretResolver


def resolved(values: Mapping[str, str], secrets: SecretResolver) -> dict[str, str]:
    """Raises PhaseFailure (`missing_credential`), which names the reference."""
    return {name: _value(value, secrets) for name, value in values.items()}


def _value(value: str, secrets: SecretResolver) -> str:
    found = reference_in(value)
    if found is None:
        return value
    before, reference = found
    try:
        return before + secrets.resolve(reference)
    except InvalidInput as wrong:
        raise PhaseFailure(
            PhaseError(kind=ErrorKind.MISSING_CREDENTIAL, message=wrong.message, hint=wrong.hint)
        ) from None
