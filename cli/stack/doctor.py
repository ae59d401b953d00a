"""`millwright doctor`: what is there, what is missing, and what to do about it. Changes nothing."""

from collections.abc import Callable, Iterator
from typing import Literal

from cli.stack import machine_checks, server_checks
from cli.stack.checks import Check
from cli.stack.settings import StackSettings
from cli.stack.state import StateFolder
from domain.base import Frozen

Examine = Callable[[StackSettings, StateFolder], Iterator[Check]]

EXAMINATIONS: tuple[Examine, ...] = (
    machine_checks.programs,
    machine_checks.state_folder,
    machine_checks.disk_space,
    machine_checks.orphaned_data,
    machine_checks.ports,
    server_checks.processes,
    server_checks.postgres,
    server_checks.temporal,
    machine_checks.credentials,
)


class Report(Frozen):
    verdict: Literal["ok", "failed"]
    state_dir: str
    checks: tuple[Check, ...]


def examine(settings: StackSettings, folder: StateFolder) -> Report:
    """All checks; the verdict is `failed` when something that is needed is missing or does not answer."""
    checks = tuple(check for examination in EXAMINATIONS for check in examination(settings, folder))
    failed = any(check.status == "failed" for check in checks)
    return Report(verdict="failed" if failed else "ok", state_dir=str(folder.path), checks=checks)
