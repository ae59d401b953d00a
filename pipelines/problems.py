"""What is wrong with a pipeline's files: all problems at once, each with file, line and field."""

from collections.abc import Sequence
from pathlib import Path

from domain.base import Frozen
from domain.errors import InvalidInput

PIPELINE_HINT = "Every field is described in docs/pipelines.md."


class Problem(Frozen):
    file: Path
    line: int
    """From 1."""
    field: str
    """As `phases.1.loop.phases.0.prompt`; empty for the whole file."""
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field + ': ' if self.field else ''}{self.message}"


class PipelineProblems(InvalidInput):
    """Raised by the reader with everything that it found."""

    def __init__(self, problems: Sequence[Problem], *, hint: str = PIPELINE_HINT) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (str(p.file), p.line)))
        super().__init__(
            "\n".join(str(problem) for problem in self.problems),
            hint=hint,
            field=self.problems[0].field or None,
        )
