"""The port of prompt rendering: a sandboxed template language, untrusted text fenced."""

from typing import Protocol

from domain.base import Frozen
from domain.runs.messages import TaskSpec
from domain.runs.ports import EarlierAttempt


class PromptVariables(Frozen):
    """Everything that a prompt or a commit message may name."""

    task: TaskSpec
    iteration: int
    earlier: tuple[EarlierAttempt, ...] = ()
    feedback: tuple[str, ...] = ()
    files: dict[str, str] = {}
    diff: str = ""


class PromptRenderer(Protocol):
    def render(self, template: str, variables: PromptVariables) -> str:
        """Raises InvalidInput that names the template's line."""
        ...
