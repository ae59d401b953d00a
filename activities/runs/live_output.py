"""Live output of one execution: chunks with their own sequence, never touching the run's row.

A database that is away for a moment must not end the command: what could not be written is kept (the sandbox
caps the whole of it) and goes out with the next chunk.
"""

import structlog

from domain.errors import Unavailable
from domain.runs.messages import AttemptKey
from domain.runs.ports import Lease, OutputSink

log = structlog.get_logger(__name__)


class LiveOutput:
    def __init__(self, sink: OutputSink, key: AttemptKey, lease: Lease) -> None:
        self._sink = sink
        self._key = key
        self._lease = lease
        self._sequence = 0
        self._unsent = ""

    def keep(self, text: str) -> None:
        """For what is said at the phase's end: it goes out with the result, without a round trip of its own."""
        self._unsent += text

    @property
    def unsent(self) -> tuple[int, str]:
        """Number and text of the chunk that was not sent."""
        return (self._sequence + 1, self._unsent) if self._unsent else (0, "")

    def sent(self, sequence: int, text: str) -> None:
        """The chunk of this number went out with something else: a checkpoint's transaction."""
        if sequence == self._sequence + 1:
            self._sequence = sequence
            self._unsent = self._unsent.removeprefix(text)

    async def say(self, text: str) -> None:
        self._unsent += text
        if not self._unsent:
            return
        try:
            await self._sink.append(self._key, self._lease, self._sequence + 1, self._unsent)
        except Unavailable as error:
            log.warning("output.kept_back", characters=len(self._unsent), error=str(error))
            return
        self._sequence += 1
        self._unsent = ""
