"""In CI a skip is a failure: what cannot run there would never be noticed. Tests of outside material are left out."""

import os

import pytest


def running_in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true")


def fail_instead_of_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turns the report of a skip into one of a failure that says why it was skipped."""
    expected_failure = hasattr(report, "wasxfail")
    if report.skipped and not expected_failure and "data" not in getattr(report, "keywords", ()):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, which is not allowed in CI: {reason}"
