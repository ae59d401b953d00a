"""Every line of a process is one JSON object without a secret, whoever wrote it. In processes of their own, since
logging is configured once per process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.stack.temporal import TemporalServer

SET_UP = """
import logging, sys, threading, warnings
from enum import StrEnum
from pathlib import Path
from uuid import UUID
import structlog
early = structlog.get_logger("early")
from adapters.secrets.redactor import SecretRedactor
from adapters.telemetry import logs
early_standard = logging.getLogger("early.standard")
logs.configure(LEVEL, sys.stdout, SecretRedactor(["planted-secret"]))
log = structlog.get_logger("millwright.phase")
"""


def said(code: str, *, level: str = "INFO", exit_code: int = 0) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", SET_UP.replace("LEVEL", repr(level)) + code],
        capture_output=True, text=True, cwd=Path(__file__).resolve().parents[3], timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (exit_code, "")
    assert "planted" not in done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_line_has_time_level_event_and_what_is_bound() -> None:
    [line] = said("""
class Status(StrEnum):
    PASSED = "passed"
with structlog.contextvars.bound_contextvars(run=str(UUID(int=1)), phase="verify", iteration=2, attempt=1):
    values = {"status": Status.PASSED, "exit_code": None, "path": Path("/x"), "ids": [UUID(int=2)]}
    log.info("phase.finished", duration_ms=12.5, **values)
""")
    assert list(line)[:8] == ["timestamp", "level", "event", "logger", "run", "phase", "iteration", "attempt"]
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "event": "phase.finished",
        "logger": "millwright.phase",
        "run": "00000000-0000-0000-0000-000000000001",
        "phase": "verify",
        "iteration": 2,
        "attempt": 1,
        "duration_ms": 12.5,
        "status": "passed",
        "exit_code": None,
        "path": "/x",
        "ids": ["00000000-0000-0000-0000-000000000002"],
    }


def test_loggers_of_libraries_say_json_with_what_is_bound() -> None:
    lines = said("""
with structlog.contextvars.bound_contextvars(run="r1"):
    logging.getLogger("uvicorn.access").info('%s - "%s"', "127.0.0.1", "GET /runs")
    early_standard.warning("from early")
    early.info("own early")
logging.getLogger("temporalio.worker").error("gone", extra={"planted": object()})
logging.getLogger("httpx").info("not worth a line")
warnings.warn("old thing", DeprecationWarning)
logging.getLogger("x").info("%d", "wrong arguments")
""")
    assert [line["event"].split("\n")[0] for line in lines[:4]] == [
        '127.0.0.1 - "GET /runs"',
        "from early",
        "own early",
        "gone",
    ]
    assert [line.get("run") for line in lines[:4]] == ["r1", "r1", "r1", None]
    assert [line["logger"] for line in lines] == [
        "uvicorn.access", "early.standard", "early", "temporalio.worker", "py.warnings", "x",
    ]  # fmt: skip
    assert lines[-1]["event"] == "log.unformattable"


def test_no_secret_passes_in_any_value() -> None:
    lines = said("""
nested = {"k planted-secret": ["a", {"b": "planted-secret"}]}
log.info("has planted-secret", token="cGxhbnRlZC1zZWNyZXQ=", nested=nested)
log.info("header", value="Bearer abcdefghij1234567890")
logging.getLogger("x").info("arg %s", "planted-secret")
try:
    raise ValueError("planted-secret")
except ValueError:
    log.exception("failed")
    logging.getLogger("x").exception("failed too")
""")
    assert lines[0]["event"] == "has [redacted]"
    assert lines[0]["nested"] == {"k [redacted]": ["a", {"b": "[redacted]"}]}
    assert lines[1]["value"] == "Bearer [redacted]"
    assert "ValueError: [redacted]" in lines[3]["exception"]
    assert "ValueError: [redacted]" in lines[4]["exception"]


def test_uncaught_exceptions_are_lines_too() -> None:
    lines = said(
        """
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise RuntimeError("planted-secret")
""",
        exit_code=1,
    )
    assert [line["event"] for line in lines] == ["process.uncaught", "process.uncaught"]
    assert "ZeroDivisionError" in lines[0]["exception"]
    assert "RuntimeError: [redacted]" in lines[1]["exception"]


def test_level() -> None:
    lines = said('log.info("no"); log.warning("yes"); early_standard.info("no")', level="warning")
    assert [line["event"] for line in lines] == ["yes"]


def test_an_unknown_level_is_refused_by_name() -> None:
    from adapters.secrets.redactor import SecretRedactor
    from adapters.telemetry import logs

    with pytest.raises(ValueError, match=r"MILLWRIGHT_LOG_LEVEL='LOUD'.*INFO"):
        logs.configure("LOUD", sys.stderr, SecretRedactor())


def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    code = SET_UP.replace("LEVEL", "'INFO'").replace("sys.stdout", "open('/dev/full', 'w')")
    code += "log.info('a' * 100_000); logging.getLogger('x').info('b' * 100_000); sys.stderr.write('went on')"
    code += "; sys.stderr.flush(); import os; os._exit(0)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).resolve().parents[3]
    )
    assert (done.returncode, done.stderr) == (0, "went on")


def test_lines_of_temporals_core_are_json(temporal_server: TemporalServer) -> None:
    lines = said(
        f"ADDRESS = {temporal_server.address!r}"
        """
import asyncio, os
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker
from adapters.telemetry.temporal import logging_runtime

@activity.defn
async def nothing() -> None: ...

async def main():
    client = await Client.connect(ADDRESS, runtime=logging_runtime("DEBUG"))
    async with Worker(client, task_queue="q", activities=[nothing]):
        await asyncio.sleep(0.5)

asyncio.run(main())
os._exit(0)
""",
        level="debug",
    )
    assert [line for line in lines if line["logger"] == "temporalio.core"]
