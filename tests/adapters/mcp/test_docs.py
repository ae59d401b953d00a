"""docs/mcp.md names every field of a server, and says the numbers that hold."""

from pathlib import Path

import pytest

from adapters.mcp import boxes, contents, links, names, offer, pipe_link, schemas
from domain.agents.mcp_servers import MOST_SERVERS
from domain.agents.tools import McpServer

DOC = (Path(__file__).resolve().parents[3] / "docs" / "mcp.md").read_text()


@pytest.mark.parametrize("field", McpServer.model_fields)
def test_every_field_is_documented(field: str) -> None:
    assert any(line.startswith("| ") and f"`{field}`" in line.split("|")[1] for line in DOC.splitlines())


@pytest.mark.parametrize(
    "said",
    [
        f"At most {MOST_SERVERS} servers",
        f"at most {names.MOST_CHARACTERS} letters",
        f"up to {offer.MOST_DESCRIPTION:,} characters",
        f"more than {schemas.DEEPEST} levels or {schemas.MOST_CHARACTERS:,} characters",
        f"At most {boxes.MOST_TOOLS} tools",
        f"Results up to {contents.MOST_CHARACTERS:,} characters",
        f"takes at most {boxes.START_SECONDS:.0f} s",
        f"a message above {links.MOST_BYTES // 1024**2} MB, or {pipe_link.MOST_UNASKED_BYTES // 1024**2} MB",
    ],
)
def test_the_numbers_are_those_of_the_code(said: str) -> None:
    assert said in DOC
