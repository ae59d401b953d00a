"""The port of secret references. Values live only in the environment or in files; rows and messages hold references."""

from typing import Protocol


class SecretResolver(Protocol):
    """Implemented by adapters/secrets; called at the last moment, in the activity that needs the value."""

    def resolve(self, reference: str) -> str:
        """The value behind `env:NAME` or `file:PATH`; never empty.

        Raises InvalidInput for what is no reference, and PhaseFailure (`missing_credential`) for one that leads to
        nothing. Neither carries a value.
        """
        ...
