"""The built-in tools: files of the worktree, and commands in it under the guard.

Whatever a model asks for wrongly is an outcome that it sees. Every path is checked by the ports behind; every output
is capped here, after known secrets were taken out of the whole of it.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from activities.runs.command_phase import head_and_tail
from activities.runs.context import PhaseContext
from activities.runs.setup import WorkspaceSetup
from activities.runs.stop import Stopped, StopReason
from domain.agents.ports import WorktreeFiles
from domain.agents.tools import ToolOutcome
from domain.base import Frozen
from domain.errors import PhaseFailure
from domain.models.messages import ToolSpec
from domain.redaction import Redactor
from domain.runs.failure import ErrorKind
from domain.runs.words import Effect
from domain.sandbox.ports import Command, CommandEnd, CommandResult, NetworkAccess, Sandbox, shell
from domain.workspaces.ports import Workspaces

FINISH = "finish"
READ_BYTES = 4 * 1024**2
"""Of a file that is looked at in one call."""
COMMAND_BYTES = 100_000
"""Of one command line; Linux takes no word of 128 KB."""
LISTED = 500
FOUND = 200
LINE_CHARACTERS = 400
"""Of a line that a search shows."""


class ReadFile(Frozen):
    """Read a text file of the repository."""

    path: str = Field(description="Relative to the root of the repository.")
    offset: int = Field(default=1, ge=1, description="First line to show.")
    limit: int = Field(default=2000, ge=1, le=20_000, description="Lines to show at most.")


class ListFiles(Frozen):
    """List the files of the repository that git does not ignore."""

    pattern: str = Field(default="*", min_length=1, description="As a line of .gitignore: `*.py`, `src/**`, `/docs/*`.")


class Search(Frozen):
    """Search the repository's text files for lines that match."""

    pattern: str = Field(min_length=1, description="Extended regular expression (grep -E), one line.")
    glob: str = Field(default="*", description="Only files whose path matches.")


class WriteFile(Frozen):
    """Write a whole file, or delete it. Folders are made."""

    path: str = Field(description="Relative to the root of the repository.")
    text: str | None = Field(description="Its whole new text; null deletes the file.")


class ApplyPatch(Frozen):
    """Apply a unified diff. It applies whole or not at all."""

    patch: str = Field(min_length=1, description="Unified diff, paths from the root of the repository.")


def _startable(command: str) -> str:
    """What the system starts no program with is the model's mistake, not the sandbox's."""
    if "\0" in command:
        raise ValueError("it holds a NUL character")
    if len(command.encode("utf-8", "surrogatepass")) > COMMAND_BYTES:
        raise ValueError(f"it has more than {COMMAND_BYTES:,} bytes: write a script and run that")
    return command


class RunCommand(Frozen):
    """Run a shell command in the root of the repository. It gets no input and ends after its time limit."""

    command: Annotated[str, AfterValidator(_startable)] = Field(min_length=1)


class Finish(Frozen):
    """Say that the work is done. Call it alone, after everything else."""

    summary: str = Field(default="", max_length=20_000, description="What was changed and why, in a few sentences.")


Carry = Callable[[Any], Awaitable[ToolOutcome]]

_TOOLS: dict[str, tuple[type[Frozen], Effect]] = {
    "read_file": (ReadFile, Effect.NONE),
    "list_files": (ListFiles, Effect.NONE),
    "search": (Search, Effect.NONE),
    "write_file": (WriteFile, Effect.IDEMPOTENT),
    "apply_patch": (ApplyPatch, Effect.IDEMPOTENT),
    "run_command": (RunCommand, Effect.IDEMPOTENT),
    FINISH: (Finish, Effect.NONE),
}
NAMES = tuple(_TOOLS)


class WorktreeTools:
    """ToolBox of one execution. `seconds_left` says how long the phase may still work."""

    def __init__(
        self,
        context: PhaseContext,
        *,
        workspaces: Workspaces,
        files: WorktreeFiles,
        sandbox: Sandbox,
        setup: WorkspaceSetup,
        redactor: Redactor,
        network: NetworkAccess,
        command_seconds: float,
        seconds_left: Callable[[], float],
        result_limit: int,
    ) -> None:
        self._context = context
        self._where = (context.tree.facts.workspace_id, context.run.run_id)
        self._workspaces = workspaces
        self._files = files
        self._sandbox = sandbox
        self._setup = setup
        self._clean = redactor.redact_known
        self._network = network
        self._command_seconds = command_seconds
        self._seconds_left = seconds_left
        self._limit = result_limit
        self._carry: dict[str, Carry] = {
            "read_file": self._read,
            "list_files": self._list,
            "search": self._search,
            "write_file": self._write,
            "apply_patch": self._patch,
            "run_command": self._run,
            FINISH: self._finish,
        }

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(
            ToolSpec(name=name, description=model.__doc__ or "", parameters=_schema(model))
            for name, (model, _) in _TOOLS.items()
        )

    def effect_of(self, name: str) -> Effect:
        return _TOOLS[name][1]

    async def call(self, name: str, arguments: dict[str, object]) -> ToolOutcome:
        try:
            asked = _TOOLS[name][0].model_validate(arguments)
        except ValidationError as error:
            return ToolOutcome(text=_wrong(name, error), is_error=True)
        try:
            return await self._carry[name](asked)
        except PhaseFailure as failure:
            if failure.error.kind is not ErrorKind.INVALID_OUTPUT:
                raise
            said = (failure.error.message, failure.error.excerpt, failure.error.hint)
            return ToolOutcome(text="\n".join(part for part in said if part), is_error=True)

    async def _read(self, asked: ReadFile) -> ToolOutcome:
        found = await self._files.read(*self._where, asked.path, limit_bytes=READ_BYTES)
        if found.text is None:
            return ToolOutcome(text=f"{asked.path} is a binary file of {found.size_bytes:,} bytes; it is not shown.")
        lines = self._clean(found.text).splitlines(keepends=True)
        shown: list[str] = []
        size = 0
        for line in lines[asked.offset - 1 : asked.offset - 1 + asked.limit]:
            size += len(line)
            if size > self._limit and shown:
                break
            shown.append(line if len(line) <= self._limit else f"{line[: self._limit]}[… the line is cut]\n")
        last = asked.offset - 1 + len(shown)
        if last < len(lines) or asked.offset > 1 or found.cut:
            total = f"more than {len(lines)}" if found.cut else str(len(lines))
            shown.append(f"\n[lines {asked.offset} to {last} of {total}; go on with offset {last + 1}]")
        return ToolOutcome(text="".join(shown) or "(the file is empty)")

    async def _list(self, asked: ListFiles) -> ToolOutcome:
        found = await self._files.listing(*self._where, asked.pattern, limit=LISTED)
        more = f"\n[only the first {LISTED}: make the pattern narrower]" if found.cut else ""
        return ToolOutcome(text=("\n".join(found.lines) or "(no file matches)") + more)

    async def _search(self, asked: Search) -> ToolOutcome:
        found = await self._files.search(*self._where, asked.pattern, asked.glob, limit=FOUND)
        more = f"\n[only the first {FOUND} lines: make the search narrower]" if found.cut else ""
        lines = (_short(self._clean(line)) for line in found.lines)
        return ToolOutcome(text=head_and_tail("\n".join(lines) or "(no line matches)", self._limit) + more)

    async def _write(self, asked: WriteFile) -> ToolOutcome:
        await self._workspaces.write_files(*self._where, {asked.path: asked.text})
        if asked.text is None:
            return ToolOutcome(text=f"{asked.path} is deleted.")
        return ToolOutcome(text=f"{asked.path} has {len(asked.text.splitlines())} lines now.")

    async def _patch(self, asked: ApplyPatch) -> ToolOutcome:
        await self._workspaces.apply_patch(*self._where, asked.patch)
        return ToolOutcome(text="The patch is applied.")

    async def _run(self, asked: RunCommand) -> ToolOutcome:
        await self._setup.ensure(self._context)
        limit = max(1.0, min(self._command_seconds, self._seconds_left()))
        tree = self._context.tree
        started = monotonic()
        result = await self._sandbox.run(
            Command(
                argv=shell(asked.command),
                cwd=tree.path,
                env=tree.facts.env,
                time_limit_seconds=limit,
                stall_seconds=max(limit, 1.0),
                lock=tree.guard_lock,
                network=self._network,
            ),
            on_output=self._context.output.say,
            should_stop=self._context.stop.asked,
        )
        if result.end is CommandEnd.KILLED:
            raise Stopped(self._context.stop.reason or StopReason.CANCELLED, result.output)
        return ToolOutcome(
            text=f"{head_and_tail(result.output, self._limit)}\n[{_how_it_ended(result, monotonic() - started)}]",
            is_error=result.exit_code != 0,
            exit_code=result.exit_code,
            signal=result.signal,
            tail=result.tail,
        )

    async def _finish(self, asked: Finish) -> ToolOutcome:
        return ToolOutcome(text=asked.summary or "The agent finished without a summary.", finished=True)


def _short(line: str) -> str:
    return line if len(line) <= LINE_CHARACTERS else f"{line[:LINE_CHARACTERS]}…"


def _schema(model: type[Frozen]) -> dict[str, object]:
    schema = model.model_json_schema()
    schema.pop("title", None)
    schema.pop("description", None)
    for each in schema["properties"].values():
        each.pop("title", None)
    return schema


def _wrong(name: str, error: ValidationError) -> str:
    problems = (
        f"{'.'.join(str(part) for part in each['loc']) or 'the arguments'}: {each['msg']}"
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    )
    return f"The arguments of {name} are wrong: {'; '.join(problems)}."


def _how_it_ended(result: CommandResult, seconds: float) -> str:
    match result.end:
        case CommandEnd.TIME_LIMIT:
            return f"killed after {seconds:.0f} s: it took too long"
        case CommandEnd.STALLED:
            return f"killed after {seconds:.0f} s: it did nothing"
    return f"ended by {result.signal}" if result.signal else f"exit code {result.exit_code}"
