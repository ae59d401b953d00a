"""The one redactor: known values in all their forms, and shapes that are unmistakable.

A character is hidden when it lies in any occurrence of any form or shape; neighbours that are hidden become one mark.
That definition knows no order and no chunks, so a stream cut anywhere gives the same text as the whole. The stream
holds back only the longest end that could still become a secret, no more than a secret and what it overlaps.
"""

from collections.abc import Iterable, Iterator
from threading import Lock

from adapters.secrets.forms import Literal, forms
from adapters.secrets.shapes import SHAPES, URL_PASSWORD, URL_UNFINISHED, URL_WINDOW, Shape
from domain.redaction import StreamRedactor

MARK = "[redacted]"
CHAIN_LIMIT = 20
"""Causes of an exception that are told."""
_CONTEXT = 1
"""Characters kept before what is decided, for the shapes' look at what precedes them."""


class SecretRedactor:
    """Implements domain.redaction.Redactor. Values may be added at any time; open streams see them from then on."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._known: tuple[Literal, ...] = ()
        self._adding = Lock()
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Makes a value known, with all its forms. Safe to repeat and from any thread."""
        wanted = forms(value)
        with self._adding:
            new = wanted - set(self.literals)
            if new:
                self._known = (*self._known, *map(Literal, sorted(new)))

    @property
    def known(self) -> tuple[Literal, ...]:
        """Every form that is looked for. Itself a secret."""
        return self._known

    @property
    def literals(self) -> tuple[str, ...]:
        return tuple(literal.text for literal in self._known)

    def redact(self, text: str) -> str:
        return _Stream(self).whole(text)

    def redact_known(self, text: str) -> str:
        for literal in sorted(self.literals, key=len, reverse=True):
            text = text.replace(literal, MARK)
        return text

    def stream(self) -> StreamRedactor:
        return _Stream(self)

    def redact_exception(self, error: BaseException) -> str:
        """Type and text of an exception and of all its causes, newest first, one per line, redacted."""
        lines: list[str] = []
        seen: set[int] = set()
        waiting: list[BaseException] = [error]
        while waiting and len(lines) < CHAIN_LIMIT:
            current = waiting.pop(0)
            if id(current) in seen:
                continue
            seen.add(id(current))
            text = str(current)
            lines.append(f"{type(current).__name__}: {text}" if text else type(current).__name__)
            lines.extend(getattr(current, "__notes__", ()))
            if isinstance(current, BaseExceptionGroup):
                waiting.extend(current.exceptions)
            cause = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
            if cause is not None:
                waiting.append(cause)
        return self.redact("\n".join(lines))


Span = tuple[int, int]


class _Stream:
    """Text that was not decided yet, and what is known already about its characters.

    The border between decided and undecided text is the earliest place where something unfinished may begin. Whatever
    was found stays found: its part behind the border is carried on as a span, and a run that reaches the end of the
    text as the place where it goes on.
    """

    def __init__(self, redactor: SecretRedactor) -> None:
        self._redactor = redactor
        self._text = ""
        self._decided = 0
        """How much of `_text` is decided: the _CONTEXT characters that are kept for the shapes."""
        self._carried: list[Span] = []
        self._open_runs: list[int | None] = [None] * len(SHAPES)
        self._last_was_hidden = False

    def feed(self, text: str) -> str:
        self._text += text
        return self._decide(final=False)

    def flush(self) -> str:
        return self._decide(final=True)

    def whole(self, text: str) -> str:
        """A text that comes in one piece."""
        self._text = text
        return self._decide(final=True)

    def _decide(self, *, final: bool) -> str:
        text, decided = self._text, self._decided
        literals = self._redactor.known
        spans = [*self._carried, *_literal_spans(literals, text, decided)]
        spans += [match.span("run") for match in URL_PASSWORD.finditer(text, decided)]
        for index, shape in enumerate(SHAPES):
            found = _shape_spans(shape, text, decided, self._open_runs[index])
            self._open_runs[index] = len(text) if any(end == len(text) for _, end in found) else None
            spans += found
        border = len(text) if final else _first_unfinished(literals, text, decided)
        spans = _merged(spans)
        shown = self._hide(text, spans, border)
        kept_from = max(0, border - _CONTEXT)
        self._carried = [(max(start, border) - kept_from, end - kept_from) for start, end in spans if end > border]
        self._open_runs = [None if place is None else place - kept_from for place in self._open_runs]
        self._text, self._decided = text[kept_from:], border - kept_from
        return shown

    def _hide(self, text: str, spans: list[Span], border: int) -> str:
        shown: list[str] = []
        at = self._decided
        for start, end in spans:
            start, end = max(start, at), min(end, border)
            if start >= end:
                continue
            if start > at:
                shown.append(text[at:start])
                self._last_was_hidden = False
            if not self._last_was_hidden:
                shown.append(MARK)
                self._last_was_hidden = True
            at = end
        if at < border:
            shown.append(text[at:border])
            self._last_was_hidden = False
        return "".join(shown)


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _literal_spans(literals: tuple[Literal, ...], text: str, start: int) -> Iterator[Span]:
    """Every occurrence, overlapping ones too; those that overlap by the literal's own period come as one."""
    for literal in literals:
        first = text.find(literal.text, start)
        while first >= 0:
            last = first
            while text.startswith(literal.text, last + literal.period):
                last += literal.period
            yield first, last + len(literal.text)
            first = text.find(literal.text, last + 1)


def _shape_spans(shape: Shape, text: str, start: int, open_run: int | None) -> list[Span]:
    found: list[Span] = []
    run_end = start
    if open_run is not None:
        run_end = shape.run_end(text, open_run)
        found.append((open_run, run_end))
    if not shape.may_be_in(text):
        return found
    match = shape.whole.search(text, start)
    while match is not None:
        # within a run that is known already, the end is the same: no second look
        run_end = run_end if match.end() <= run_end else shape.run_end(text, match.end())
        found.append((match.start("run") if shape.keep_beginning else match.start(), run_end))
        match = shape.whole.search(text, match.start() + 1)
    return found


def _first_unfinished(literals: tuple[Literal, ...], text: str, start: int) -> int:
    """Where the earliest end of `text` begins that could still become something to hide."""
    first = len(text)
    for literal in literals:
        value = literal.text
        at = text.find(value[0], max(start, len(text) - len(value) + 1), first)
        while at >= 0:
            if value.startswith(text[at:]):
                first = at
                break
            at = text.find(value[0], at + 1, first)
    for shape in SHAPES:
        tail = shape.unfinished.search(text, max(start, len(text) - shape.window))
        first = min(first, tail.start()) if tail else first
    tail = URL_UNFINISHED.search(text, max(start, len(text) - URL_WINDOW))
    return min(first, tail.start()) if tail else first
