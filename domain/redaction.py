"""The port of the one redactor; the implementation is adapters/secrets/redactor.py."""

from typing import Protocol


class StreamRedactor(Protocol):
    """Redacts across chunk borders: holds back the longest tail that could begin a secret."""

    def feed(self, text: str) -> str: ...

    def flush(self) -> str: ...


class Redactor(Protocol):
    def redact(self, text: str) -> str: ...

    def redact_known(self, text: str) -> str:
        """Only values that are known to be secret: for texts that must otherwise stay as they are, such as the code
        that a model answers."""
        ...

    def stream(self) -> StreamRedactor: ...
