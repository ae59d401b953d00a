"""In CI a skip is a failure: what cannot run there would never be noticed.

Left out are tests of outside material, and what .ci/run found impossible on its machine and said so (CI_CANNOT).
"""

import os

import pytest


def running_in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true")


def fail_instead_of_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turns the report of a skip into one of a failure that says why it was skipped."""
    if not report.skipped or hasattr(report, "wasxfail") or "data" in getattr(report, "keywords", ()):
        return
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    impossible = os.environ.get("CI_CANNOT", "")
    if not impossible or impossible not in reason:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, which is not allowed in CI: {reason}"
