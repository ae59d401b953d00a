"""`--mcp FILE`: the servers of tools of a workspace in YAML or JSON; errors name file, line and field."""

from pathlib import Path

from pydantic import Field, ValidationError

from cli.commands.files import text_of
from domain.agents.mcp_servers import check_servers
from domain.agents.tools import McpServer
from domain.base import Frozen
from domain.errors import InvalidInput
from pipelines.problems import PipelineProblems, Problem
from pipelines.yaml_tree import Tree, dotted, parse

HINT = "`mcp_servers:` is a list; the fields of a server are in docs/mcp.md."
_WORDS = {"extra_forbidden": "unknown field", "missing": "is missing"}


class _File(Frozen):
    mcp_servers: tuple[McpServer, ...] = Field(max_length=1_000)


def read_servers(path: Path) -> tuple[McpServer, ...]:
    """Raises CommandError for a file that cannot be read, PipelineProblems for what stands in it."""
    text = text_of(path)
    tree = parse(text, path)
    try:
        servers = _File.model_validate(tree.data).mcp_servers
        check_servers(servers)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise PipelineProblems(
            [_problem(path, tree, each["loc"], _WORDS.get(each["type"], each["msg"])) for each in found], hint=HINT
        ) from None
    except InvalidInput as wrong:
        place = tuple(int(part) if part.isdigit() else part for part in (wrong.field or "").split("."))
        raise PipelineProblems([_problem(path, tree, place, wrong.message)], hint=wrong.hint) from None
    return servers


def _problem(path: Path, tree: Tree, place: tuple[str | int, ...], message: str) -> Problem:
    said = message.removeprefix("Value error, ")
    return Problem(file=path, line=tree.line(place), field=dotted(place), message=said)
