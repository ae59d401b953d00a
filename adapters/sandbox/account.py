"""What is told of a command that ended, or that could not be started."""

import signal

from adapters.sandbox.limits import reached
from adapters.sandbox.output import OutputWindow
from adapters.sandbox.process import GuardProcess
from domain.errors import PhaseFailure
from domain.redaction import Redactor
from domain.runs.failure import ErrorKind, PhaseError
from domain.sandbox.ports import Command, CommandEnd, CommandResult, ResourceLimits, shell

SHOWN_CHARACTERS = 200
_ENDS = {
    "exited": CommandEnd.EXITED,
    "time_limit": CommandEnd.TIME_LIMIT,
    "cpu_limit": CommandEnd.CPU_LIMIT,
    "memory_limit": CommandEnd.MEMORY_LIMIT,
    "process_limit": CommandEnd.PROCESS_LIMIT,
}
"""The guard's reasons; the others are orders of ours."""


class Account:
    """In words for a person, redacted."""

    def __init__(self, redactor: Redactor, silence_seconds: float) -> None:
        self._redactor = redactor
        self._silence_seconds = silence_seconds

    def result(
        self,
        process: GuardProcess,
        command: Command,
        window: OutputWindow,
        ordered: CommandEnd,
        run_seconds: float,
        limit: str | None,
    ) -> CommandResult:
        """Raises PhaseFailure(sandbox) when it never ran, or when something else than we ended it."""
        if process.refused is not None:
            raise self.refused(command, process.refused)
        account = process.end
        if account is None or account["reason"] in ("stopped", "orphaned", "silent"):
            raise self._ended_from_outside(command, process, "" if account is None else account["reason"], window)
        end = _ENDS.get(account["reason"], ordered)
        number = account["signal"]
        return CommandResult(
            end=end,
            exit_code=account["exit_code"],
            signal=None if number is None else _signal_name(number),
            output=window.text,
            left_out_bytes=window.left_out_bytes,
            run_seconds=run_seconds,
            cpu_seconds=account["cpu_seconds"],
            tail=window.last_lines,
            limit=limit,
        )

    def limit(self, process: GuardProcess, limits: ResourceLimits, window: OutputWindow) -> str | None:
        """Which limit it reached, as a sentence."""
        return None if process.end is None else reached(limits, process.end, window.last_lines)

    def refused(self, command: Command, why: str) -> PhaseFailure:
        return PhaseFailure(
            PhaseError(
                kind=ErrorKind.SANDBOX,
                message=f"The command {self._shown(command)} could not be started: {self._redactor.redact(why)}.",
                hint="Check that the program exists on the worker's PATH and that the worktree is there.",
            )
        )

    def _ended_from_outside(
        self, command: Command, process: GuardProcess, reason: str, window: OutputWindow
    ) -> PhaseFailure:
        why = process.lost or {
            "stopped": "it was told to by a signal, or a later command took over its worktree",
            "orphaned": "its worker closed the pipe",
            "silent": f"its worker was stopped for more than {self._silence_seconds:.0f} s",
        }.get(reason, "its guard was killed")
        return PhaseFailure(
            PhaseError(
                kind=ErrorKind.SANDBOX,
                message=f"The command {self._shown(command)} was ended from outside: {why}.",
                excerpt=self._redactor.redact(window.last_lines),
                hint="Every process that it had started is gone; it is run again.",
            )
        )

    def _shown(self, command: Command) -> str:
        """Redacted before it is cut: a part of a secret is not recognized."""
        text = self._redactor.redact(command.argv[-1] if command.argv[:2] == shell("")[:2] else " ".join(command.argv))
        return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
