"""What the fakes share: the gateway's socket, their tools, their session on disk, and their odd behaviour."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

MARK = re.compile(r"\[\[fake:([a-z0-9-]+)\]\]")


class Refused(Exception):
    """The gateway answered with another status than 200."""


def events_of(url: str, body: dict[str, Any], headers: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Posts, and reads the answer's server-sent events as (event, data)."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
    sent = {"content-type": "application/json", "accept": "text/event-stream", **headers}
    connection.request("POST", parts._replace(scheme="", netloc="").geturl(), json.dumps(body), sent)
    response = connection.getresponse()
    if response.status != 200:
        raise Refused(f"{response.status} {response.read().decode('utf-8', 'replace')}")
    name = ""
    for line in response:
        text = line.decode().rstrip("\r\n")
        if text.startswith("event:"):
            name = text[6:].strip()
        elif text.startswith("data:") and text[5:].strip() != "[DONE]":
            yield name, json.loads(text[5:])
    connection.close()


def answer_of(url: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    """Posts, and reads the answer as one document."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
    connection.request("POST", parts.path, json.dumps(body), {"content-type": "application/json", **headers})
    response = connection.getresponse()
    text = response.read().decode("utf-8", "replace")
    if response.status != 200:
        raise Refused(f"{response.status} {text}")
    found: dict[str, Any] = json.loads(text)
    return found


def use_tool(name: str, arguments: dict[str, Any]) -> tuple[str, int]:
    """Really done, in the working directory: text and exit code."""
    if name == "bash":
        done = subprocess.run(
            ["/bin/sh", "-c", str(arguments.get("command"))], capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        return done.stdout + done.stderr, done.returncode
    path = Path(str(arguments.get("path")))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(arguments.get("content")))
    return f"wrote {path}", 0


class Sessions:
    """Conversations as files, below HOME like the real ones."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(os.environ["HOME"]) / folder

    def load(self, session_id: str) -> list[dict[str, Any]] | None:
        file = self._folder / f"{session_id}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def save(self, session_id: str, messages: list[dict[str, Any]]) -> None:
        if Behaviour.forgets:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"{session_id}.json").write_text(json.dumps(messages))


class Behaviour:
    """What the prompt's mark asks for; plain work without one."""

    forgets = False

    def __init__(self, prompt: str) -> None:
        found = MARK.search(prompt)
        self.variant = found[1] if found else ""
        Behaviour.forgets = self.variant == "forget"
        if self.variant == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.variant == "environment":
            Path("environment.json").write_text(json.dumps(dict(os.environ)))
        if self.variant == "no-result-at-all":
            sys.exit(0)

    def emit(self, event: dict[str, Any], *, last: bool = False) -> None:
        """One event as a line on standard output."""
        self.write((json.dumps(event) + "\n").encode(), last=last)

    def write(self, line: bytes, *, last: bool = False) -> None:
        out = sys.stdout.buffer
        if self.variant == "odd-events-byte-by-byte":
            odd = b'{"type": "event.of.tomorrow", "x": [1, {"y": null}]}\nno json at all \xff\xfe\n[1, 2]\n\n'
            line = odd + line
            for at in range(len(line)):
                out.write(line[at : at + 1])
                out.flush()
            return
        if self.variant == "cut-off" and last:
            out.write(line[: len(line) // 2])
            out.flush()
            os._exit(0)
        out.write(line)
        out.flush()

    def after_tool(self, count: int) -> None:
        """Called when a tool call has ended and was told."""
        if self.variant in ("hang", "deaf") and count == 1:
            while True:
                time.sleep(60)
        if self.variant == "exit-1" and count == 1:
            sys.stderr.write("fatal: the disk of the agent is upside down\n")
            sys.exit(1)
        if self.variant == "kill-me" and count == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.variant == "commit" and count == 1:
            who = ["-c", "user.name=agent", "-c", "user.email=agent@example.org"]
            subprocess.run(["git", "add", "-A"], check=True, capture_output=True)
            subprocess.run(["git", *who, "commit", "-q", "-m", "by the agent"], check=True, capture_output=True)

    def flood(self, event: dict[str, Any]) -> None:
        if self.variant == "flood":
            for _ in range(30_000):
                sys.stdout.buffer.write(json.dumps(event).encode() + b"\n")
            sys.stdout.buffer.flush()


def stop(text: str) -> NoReturn:
    sys.stderr.write(f"{text}\n")
    sys.exit(1)
