"""What a connection failed with, in words and as the kind of a phase's error: the one place for foreign exceptions."""

import httpx2
import mcp_types
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from adapters.mcp.links import Link
from adapters.mcp.session import SessionLost
from domain.agents.tools import McpServer
from domain.errors import PhaseFailure
from domain.redaction import Redactor
from domain.runs.failure import EXCERPT_LIMIT, ErrorKind, PhaseError

_BY_STATUS = {401: ErrorKind.AUTHENTICATION, 403: ErrorKind.PERMISSION, 404: ErrorKind.NOT_FOUND}


def clause(error: BaseException) -> str:
    """What happened, as a clause about the server. Not yet redacted."""
    match error:
        case TimeoutError():
            return "it did not answer in time"
        case SessionLost():
            return str(error)
        case PhaseFailure():
            return error.error.message
        case MCPError() if error.code == mcp_types.PARSE_ERROR:
            return "its answer is no valid JSON of the protocol"
        case MCPError():
            return f"it answers with an error: {error.message}"
        case ValidationError():
            return "its answer is none of the protocol's"
        case httpx2.RequestError():
            return f"it cannot be reached ({str(error) or type(error).__name__})"
        case RuntimeError():  # the SDK's own words, as of a version that it does not speak
            return str(error)
        case _:
            return f"{type(error).__name__}: {error}"


def start_error(server: McpServer, error: BaseException, link: Link | None, redactor: Redactor) -> PhaseError:
    """A start that failed, as the error of the phase; it names the server."""
    if isinstance(error, PhaseFailure):
        named = f"MCP server `{server.name}`: {error.error.message}"
        return error.error.model_copy(update={"message": redactor.redact(named)})
    account = link.account if link is not None else ""
    status = link.status if link is not None else None
    said = clause(error) if status is None else account
    return PhaseError(
        kind=_kind(error, status),
        message=redactor.redact(f"MCP server `{server.name}` cannot be used: {said}."),
        excerpt=redactor.redact(account)[-EXCERPT_LIMIT:] if account not in said else "",
        hint=_hint(server),
    )


def _hint(server: McpServer) -> str:
    if server.command is not None:
        return "Run its command by hand in the repository, or list it otherwise (`millwright workspace set`)."
    return f"Ask {server.url} by hand with the same headers, or list it otherwise (`millwright workspace set`)."


def _kind(error: BaseException, status: int | None) -> ErrorKind:
    """What may pass by itself is tried again; a server that is wrong needs a person."""
    if status is not None:
        return ErrorKind.SERVER_ERROR if status >= 500 or status == 429 else _BY_STATUS.get(status, ErrorKind.PLUGIN)
    if isinstance(error, TimeoutError):
        return ErrorKind.TIMEOUT
    if isinstance(error, SessionLost | httpx2.RequestError):
        return ErrorKind.CONNECTION
    return ErrorKind.PLUGIN
