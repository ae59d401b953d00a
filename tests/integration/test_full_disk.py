"""Temporal's disk is full: every part says so, nothing is lost, and all goes on by itself when there is room."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cli.stack.ports import any_free
from pipelines import sample
from tests.support.scratch import scratch_folder
from tests.support.stack import Stack, stack
from tests.support.temporal_program import temporal_program
from tests.support.waiting import wait_until

NAMESPACE = "unshare --user --map-root-user --mount"
ON_A_SMALL_DISK = """#!/bin/sh
# The server gets a file system of its own over the state folder, which ends with it; other commands run as they are.
[ "$1" = server ] || exec {temporal} "$@"
exec {namespace} sh -c 'mount -t tmpfs -o size=12m small "{state}" && exec {temporal} "$@"' sh "$@"
"""
PATIENCE = 120


@pytest.fixture
def made() -> Iterator[Stack]:
    with scratch_folder("full-disk") as folder:
        probe = [*NAMESPACE.split(), "mount", "-t", "tmpfs", "x", str(folder)]
        if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
            pytest.skip("no small file system here: namespaces are refused, as bubblewrap would find too")
        (folder / "state").mkdir(mode=0o700)
        program = folder / "temporal"
        program.write_text(
            ON_A_SMALL_DISK.format(namespace=NAMESPACE, temporal=temporal_program(), state=folder / "state")
        )
        program.chmod(0o755)
        ports = {name: any_free() for name in ("api", "temporal", "temporal_ui", "postgres")}
        with stack(folder / "state", folder, ports=ports, temporal=str(program)) as it:
            it.up()
            yield it


@contextmanager
def full_disk(made: Stack) -> Iterator[None]:
    """Fills the small disk as the server sees it; frees it at the end."""
    filler = Path(f"/proc/{made.pid('temporal')}/root{made.folder.path}/filler")
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    try:
        yield
    finally:
        filler.unlink()


def asked(made: Stack, *words: str, code: int = 0) -> dict[str, Any]:
    done = made.millwright(*words, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def readiness(api_url: str) -> dict[str, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"{api_url}/readyz", timeout=10) as answer:
            body = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        body = json.loads(error.read())
    return {need["name"]: need for need in body["needs"]}


def test_temporals_disk_is_full(made: Stack) -> None:
    sample.make_sample_repository(made.home / "repo")
    pipeline = made.home / "pipeline.yaml"

    def start(command: str) -> str:
        pipeline.write_text(f"name: it\nphases:\n  - {{name: work, kind: command, command: {command}}}\n")
        words = ["--repo", str(made.home / "repo"), "--task", "Go", "--pipeline", str(pipeline)]
        return str(asked(made, "run", "start", *words)["run_id"])

    def run(run_id: str) -> dict[str, Any]:
        return asked(made, "run", "show", run_id)

    api_url = json.loads(made.folder.credentials_file.read_text())["api_url"]
    first = start("sleep 600")
    wait_until(lambda: run(first)["current_phase"] == "work", PATIENCE, what="the first run at work")
    with full_disk(made):
        second = start("echo done")
        wait_until(lambda: run(second)["delivery_problem"], PATIENCE, what="why the second run is not delivered")
        assert run(second)["status"] == "QUEUED"
        shown = made.millwright("run", "show", second).stdout
        assert "Temporal does not have it yet" in shown
        assert "millwright doctor" in shown
        needs = readiness(api_url)
        assert needs["disk of PostgreSQL"]["ready"] is True, "it lies elsewhere"
        assert needs["Temporal"]["ready"] is False
        assert "cannot work" in needs["Temporal"]["problem"]
        assert "full disk" in needs["Temporal"]["hint"]
        checks = {check["name"]: check for check in asked(made, "doctor", code=3)["checks"]}
        assert checks["Temporal"]["status"] == "failed"
        assert "cannot work" in checks["Temporal"]["found"]
        asked(made, "run", "cancel", first, "--reason", "enough")
    wait_until(lambda: run(first)["status"] == "CANCELLED", PATIENCE, what="the cancel takes effect")
    wait_until(lambda: run(second)["status"] == "SUCCEEDED", PATIENCE, what="the second run goes on")
    assert run(second)["delivery_problem"] is None
    assert readiness(api_url)["Temporal"]["ready"] is True
