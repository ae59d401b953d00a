"""The credential of a provider, resolved at the call: a reference that leads nowhere is a closed kind, too."""

from domain.errors import MillwrightError
from domain.models.messages import CallRefused
from domain.runs.failure import ErrorKind, PhaseError
from domain.secrets import SecretResolver


def credential(secrets: SecretResolver, reference: str, what: str) -> str:
    """The value behind `reference`. Raises CallRefused (`missing_credential`), without the resolver's exception."""
    problem: MillwrightError | None = None
    try:
        return secrets.resolve(reference)
    except MillwrightError as error:
        problem = error
    raise CallRefused(
        PhaseError(
            kind=ErrorKind.MISSING_CREDENTIAL,
            message=f"`{what}` has no usable credential: {problem.message}",
            hint=problem.hint or f"Put the key behind `{reference}` where the worker runs.",
        )
    )
