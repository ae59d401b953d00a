"""What cannot be said in another format is refused by name: a silent loss would change what was asked."""

from collections.abc import Mapping

from domain.models.messages import CallRefused
from domain.runs.failure import ErrorKind, PhaseError


class Refusals:
    """Names of what was met and cannot be carried over."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, name: str) -> None:
        self.names.append(name)

    def rest(self, obj: Mapping[str, object], path: str, *, known: str, tuning: str = "") -> None:
        """Every member of `obj` that is neither `known` nor `tuning` (what only tunes an answer or its price, and is
        left out); an empty or false one says nothing. Both are names parted by spaces."""
        passed = {*known.split(), *tuning.split()}
        for name, value in obj.items():
            if name not in passed and value not in (None, False, "", [], {}):
                self.add(f"{path}.{name}" if path else name)

    def settle(self, provider: str) -> None:
        """Raises CallRefused when anything was met."""
        if self.names:
            named = ", ".join(f"`{name}`" for name in self.names[:10])
            more = f" and {len(self.names) - 10} more" if len(self.names) > 10 else ""
            raise CallRefused(
                PhaseError(
                    kind=ErrorKind.INVALID_REQUEST,
                    message=f"{named}{more} cannot be translated to the format of provider `{provider}`.",
                    hint="Across formats text and function tools are carried over. Switch this off in the agent, or "
                    "choose a model whose provider speaks the agent's own format.",
                )
            )


def invalid_request(message: str) -> CallRefused:
    return CallRefused(
        PhaseError(kind=ErrorKind.INVALID_REQUEST, message=message, hint="This is a fault of the agent's client.")
    )
