"""Secret references (`env:NAME`, `file:PATH`) and how they become values, at the last moment."""

from collections.abc import Mapping
from pathlib import Path

from adapters.secrets.redactor import SecretRedactor
from domain.errors import InvalidInput, PhaseFailure
from domain.runs.failure import ErrorKind, PhaseError

MAX_FILE_BYTES = 16 * 1024
"""A secret file is a key or a token; a longer one is a mistake."""


class SecretResolver:
    """Resolves references and makes each value known to the redactor before anyone else has it.

    `environment` is what `__main__` read once. A file is read at each use, so that a rotated secret is picked up.
    """

    def __init__(self, environment: Mapping[str, str], redactor: SecretRedactor) -> None:
        self._environment = environment
        self._redactor = redactor

    def resolve(self, reference: str) -> str:
        """Raises InvalidInput for what is no reference, and PhaseFailure(missing_credential) for one that leads to
        nothing. Neither carries a value."""
        kind, name = parse_reference(reference)
        value = self._environment.get(name, "") if kind == "env" else self._read(reference, Path(name))
        value = value.strip()
        if not value:
            raise _missing(reference, "it is empty" if kind == "file" else "the worker's environment has no such value")
        self._redactor.add(value)
        return value

    def _read(self, reference: str, path: Path) -> str:
        try:
            with path.open("rb") as file:
                body = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise _missing(reference, error.strerror or type(error).__name__) from None
        if len(body) > MAX_FILE_BYTES:
            raise _missing(reference, f"the file is longer than {MAX_FILE_BYTES} bytes")
        try:
            return body.decode()
        except UnicodeDecodeError:
            raise _missing(reference, "the file is not UTF-8 text") from None


def parse_reference(reference: str) -> tuple[str, str]:
    """(`env` or `file`, name). Raises InvalidInput, which does not repeat what was given: it may be a secret that
    was put where a reference belongs."""
    kind, colon, name = reference.partition(":")
    if not colon or kind not in ("env", "file") or not name or "\0" in name:
        raise InvalidInput(
            "This is no secret reference.",
            hint="Write env:NAME or file:/absolute/path; a secret itself is never stored.",
            field="credential",
        )
    if kind == "file" and not Path(name).is_absolute():
        raise InvalidInput(
            f"The secret file {name} has no absolute path.", hint="Write file:/absolute/path.", field="credential"
        )
    return kind, name


def _missing(reference: str, why: str) -> PhaseFailure:
    kind, _, name = reference.partition(":")
    way_out = (
        f"Set {name} in the environment of the worker and start it again."
        if kind == "env"
        else f"Write the secret into {name}, readable by the worker's user."
    )
    return PhaseFailure(
        PhaseError(
            kind=ErrorKind.MISSING_CREDENTIAL, message=f"The secret {reference} is missing: {why}.", hint=way_out
        )
    )
