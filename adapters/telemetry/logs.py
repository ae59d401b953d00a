"""Every line that a process writes is one JSON object, redacted, whoever wrote it.

Ours come through structlog, with what is bound to the context (run, phase, iteration, attempt, ...); uvicorn,
temporalio, alembic and all others through the standard library's logging; uncaught exceptions and warnings too.
"""

import contextlib
import json
import logging
import sys
import threading
from collections.abc import Iterable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor, WrappedLogger

from domain.redaction import Redactor

Event = MutableMapping[str, Any]

QUIET: Mapping[str, int] = dict.fromkeys(("httpx", "httpx2", "httpcore", "httpcore2", "hpack", "mcp"), logging.WARNING)
"""Libraries that tell each request at INFO, with its address or its session: our own steps tell the same with run and
cost."""
OWN_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "temporalio")
"""Loggers that libraries give handlers of their own; theirs are taken away."""


def configure(level: str, stream: TextIO, redactor: Redactor) -> None:
    """Once, first thing in `__main__`. `level` is a standard name (INFO); raises ValueError for another. A stream
    that cannot be written (a full disk) loses lines, never a run. Start uvicorn with `log_config=None`."""
    names = logging.getLevelNamesMapping()
    if level.upper() not in names:
        raise ValueError(f"MILLWRIGHT_LOG_LEVEL={level!r}: use one of {', '.join(names)}")
    number = names[level.upper()]
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Processor] = [structlog.processors.format_exc_info, _Redaction(redactor), _render]
    structlog.configure(
        processors=[*common, _add_name, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_LineFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = _LineHandler(_Lines(stream, None))
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[*common, structlog.stdlib.add_logger_name],
            processors=[ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in OWN_HANDLERS:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(max(least, number))
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


class _Lines:
    """Writes whole lines."""

    def __init__(self, stream: TextIO, name: str | None) -> None:
        self._stream = stream
        self.name = name

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # full, broken or closed: nowhere left to tell it
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = msg


class _LineFactory:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, *names: str) -> _Lines:
        return _Lines(self._stream, names[0] if names else None)


class _LineHandler(logging.Handler):
    """For the standard library's loggers: the same lines on the same stream."""

    def __init__(self, lines: _Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.msg(self.format(record))
        except Exception:  # noqa: BLE001 - a line that cannot be formatted must not end who wrote it
            self._lines.msg(json.dumps({"level": "error", "event": "log.unformattable", "logger": record.name}))


def _add_name(logger: WrappedLogger, _: str, event: Event) -> Event:
    if logger.name is not None:
        event["logger"] = logger.name
    return event


_FIRST = ("timestamp", "level", "event", "logger", "run", "phase", "iteration", "attempt", "duration_ms")


def _render(_: WrappedLogger, __: str, event: Event) -> str:
    ordered = {name: event.pop(name) for name in _FIRST if name in event}
    return json.dumps({**ordered, **event})


class _Redaction:
    """Makes each value plain JSON, and redacts its text."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, _: WrappedLogger, __: str, event: Event) -> Event:
        plain: Event = {str(name): _plain(value) for name, value in event.items()}
        # one look at all of it: nearly every line is clean, and a look costs the same for long and short
        joined = "\0".join(_texts(plain.values()))
        if self._redactor.redact(joined) == joined:
            return plain
        return {name: self._redacted(value) for name, value in plain.items()}

    def _redacted(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redactor.redact(value)
        if isinstance(value, list):
            return [self._redacted(each) for each in value]
        if isinstance(value, dict):
            return {self._redactor.redact(name): self._redacted(each) for name, each in value.items()}
        return value


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)  # a StrEnum becomes its value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return str(value)


def _texts(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from _texts(value)
        elif isinstance(value, dict):
            yield from value
            yield from _texts(value.values())


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        structlog.get_logger("uncaught").critical("process.uncaught", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
