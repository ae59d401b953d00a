"""The options of `run start` as the body of POST /runs."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cli.commands.failing import USAGE, CommandError
from cli.commands.task_file import read_task, task_of_text
from domain.base import Frozen
from domain.runs.messages import RunStart, TaskSpec
from pipelines.load import load_document

FILE_ENDINGS = {".yaml", ".yml"}
OPTION_OF = {
    "settings.model": "--model",
    "settings.models": "--model",
    "settings.limits.tokens": "--max-tokens",
    "settings.limits.cost_usd": "--max-cost",
    "settings.limits.time_seconds": "--max-time",
    "settings.max_iterations": "--max-iterations",
    "settings.test_command": "--test-command",
    "settings.priority": "--priority",
    "pipeline": "--pipeline",
    "workspace": "--workspace",
    "repo": "--repo",
}


class StartOptions(Frozen):
    """As given on the command line."""

    task: str | None = None
    task_file: str | None = None
    repo: Path | None = None
    workspace: str | None = None
    pipeline: str = "code-change"
    """A name, `name@hash`, or a file."""
    test_command: str | None = None
    models: tuple[str, ...] = ()
    """`provider:model`, or `role=provider:model`."""
    max_iterations: int | None = None
    max_tokens: int | None = None
    max_cost: str | None = None
    max_seconds: float | None = None
    priority: int = 3

    def body(self) -> dict[str, Any]:
        """Raises CommandError naming the option, or PipelineProblems naming file, line and field."""
        task = self._task()
        model, models = read_models(self.models)
        document = load_document(Path(self.pipeline)) if Path(self.pipeline).suffix in FILE_ENDINGS else None
        limits = {"tokens": self.max_tokens, "cost_usd": _cost(self.max_cost), "time_seconds": self.max_seconds}
        settings = {
            "model": model,
            "models": models,
            "limits": limits if any(value is not None for value in limits.values()) else None,
            "max_iterations": self.max_iterations,
            "test_command": self.test_command,
            "priority": self.priority,
        }
        try:
            start = RunStart.model_validate(
                {
                    "task": task,
                    "pipeline": document.pipeline.name if document else self.pipeline,
                    "workspace": self.workspace,
                    "repo": str(self.repo.expanduser().absolute()) if self.repo else None,
                    "settings": settings,
                }
            )
        except ValidationError as error:
            raise _named(error) from None
        body = start.model_dump(mode="json", exclude_none=True)
        if document:
            body |= {"pipeline_yaml": document.yaml, "prompts": document.prompts}
        return body

    def _task(self) -> TaskSpec:
        if (self.task is None) == (self.task_file is None):
            raise CommandError(
                "Say what is to be changed: give exactly one of --task and --task-file.",
                hint='As in: millwright run start --repo . --task "Fix the date parser" --test-command "pytest -q"',
                field="task",
                exit_code=USAGE,
            )
        return read_task(self.task_file) if self.task_file is not None else task_of_text(self.task or "", "--task")


def read_models(given: tuple[str, ...]) -> tuple[str | None, dict[str, str]]:
    """What `--model` gave without a role or stage, and what with one."""
    model, models = None, {}
    for text in given:
        role, equals, of_role = text.partition("=")
        if equals and ":" not in role:
            models[role] = of_role
        else:
            model = text
    return model, models


def _cost(given: str | None) -> Decimal | None:
    if given is None:
        return None
    try:
        return Decimal(given.removeprefix("$"))
    except ArithmeticError:
        raise CommandError(
            f"--max-cost: `{given}` is no amount of US dollars.", hint="For example 2.50.", exit_code=USAGE
        ) from None


def _named(error: ValidationError) -> CommandError:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    option = next((name for prefix, name in OPTION_OF.items() if field == prefix or field.startswith(prefix + ".")), "")
    message = first["msg"].removeprefix("Value error, ")
    if option == "--model":
        message = f"`{first['input']}` is no model; write provider:model, or role=provider:model"
    hint = "`millwright run start --help` shows what each option takes."
    return CommandError(f"{option or field}: {message}.", hint=hint, field=field, exit_code=USAGE)
