"""Log lines of the Temporal SDK's Rust core, forwarded: to the console they would go as plain text."""

import logging

from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter


def logging_runtime(core_level: str = "WARN") -> Runtime:
    """For the process's Temporal client (`connect(runtime=...)`), one per process. `core_level` is a level of the
    Rust SDK: TRACE, DEBUG, INFO, WARN or ERROR."""
    forwarding = LogForwardingConfig(logger=logging.getLogger("temporalio.core"), append_target_to_name=False)
    lines = LoggingConfig(filter=TelemetryFilter(core_level=core_level, other_level="ERROR"), forwarding=forwarding)
    return Runtime(telemetry=TelemetryConfig(logging=lines))
