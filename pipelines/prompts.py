"""Rendering of prompts and commit messages (port: domain.pipelines.ports.PromptRenderer)."""

from functools import lru_cache
from types import TracebackType

from jinja2 import TemplateError

from domain.errors import InvalidInput
from domain.pipelines.ports import PromptVariables
from pipelines.templates import environment

COMPILED = 512
PROMPT_LIMIT = 1_000_000
"""Characters of one rendered prompt: above it no model answers, and the record would carry it."""


class Prompts:
    """One environment for all; each template's text is compiled once, while it is among the COMPILED newest."""

    def __init__(self) -> None:
        self._compiled = lru_cache(COMPILED)(environment().from_string)

    def render(self, template: str, variables: PromptVariables) -> str:
        """Raises InvalidInput that names the template's line."""
        names = {name: getattr(variables, name) for name in type(variables).model_fields}
        try:
            parts: list[str] = []
            size = 0
            for part in self._compiled(template).generate(**names):
                size += len(part)
                if size > PROMPT_LIMIT:
                    raise InvalidInput(
                        f"The rendered prompt has more than {PROMPT_LIMIT:,} characters.",
                        hint="Put fewer files or earlier results into it (context_files, the `earlier` loop).",
                        field="prompt",
                    )
                parts.append(part)
            return "".join(parts).strip()
        except TemplateError as error:
            line = getattr(error, "lineno", None) or _template_line(error.__traceback__)
            raise InvalidInput(
                f"The prompt template failed in line {line}: {error.message or type(error).__name__}.",
                hint="Check it with `millwright pipeline check`; the names it may use are in docs/pipelines.md.",
                field="prompt",
            ) from None
        except (ArithmeticError, TypeError, ValueError, LookupError) as error:
            raise InvalidInput(
                f"The prompt template failed in line {_template_line(error.__traceback__)}: {error}.",
                hint="Check it with `millwright pipeline check`; the names it may use are in docs/pipelines.md.",
                field="prompt",
            ) from None


def _template_line(traceback: TracebackType | None) -> int:
    """Jinja2 rewrites tracebacks so that frames of a template carry its own line numbers."""
    line = 1
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == "<template>":
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
