"""The port of the one redactor; the implementation is adapters/secrets/redactor.py."""

from typing import Protocol


class StreamRedactor(Protocol):
    """Redacts across chunk borders: holds back the longest tail that could begin a secret."""

    def feed(self, text: str) -> str: ...

    def flush(self) -> str: ...


class Redactor(Protocol):
    def redact(self, text: str) -> str: ...

    def stream(self) -> StreamRedactor: ...
