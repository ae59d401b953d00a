"""A server written with the SDK, over stdin and stdout: `python sdk_server.py`. Tests serve `make()` over HTTP too."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import BlobResourceContents, EmbeddedResource, ResourceLink, TextContent, TextResourceContents


def make() -> MCPServer:
    server = MCPServer("tester")

    @server.tool(description="Adds two numbers.")
    def add(a: int, b: int) -> int:
        return a + b

    @server.tool()
    def surroundings() -> str:
        """Folder and environment, a variable a line."""
        return "\n".join([f"cwd={Path.cwd()}", *(f"{name}={value}" for name, value in sorted(os.environ.items()))])

    @server.tool()
    def write(path: str, text: str) -> str:
        Path(path).write_text(text)
        return f"wrote {len(text)} characters"

    @server.tool()
    def long_text(characters: int) -> str:
        return "x" * characters

    @server.tool()
    def sleep(seconds: float) -> str:
        time.sleep(seconds)
        return "awake"

    @server.tool()
    def fail(why: str) -> str:
        raise ToolError(why)

    @server.tool()
    def die(words: str) -> str:
        print(words, file=sys.stderr, flush=True)
        os._exit(3)

    @server.tool()
    def start_child() -> int:
        """A process that leaves its session and ignores TERM."""
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        return subprocess.Popen([sys.executable, "-c", code], start_new_session=True).pid

    @server.tool(structured_output=False)
    def picture() -> list[Image]:
        return [Image(data=b"\x89PNG" * 100, format="png")]

    @server.tool(structured_output=False)
    def mixed() -> list[TextContent | ResourceLink | EmbeddedResource]:
        return [
            TextContent(text="first"),
            ResourceLink(name="readme", uri="file:///readme", description="The manual."),
            EmbeddedResource(resource=TextResourceContents(uri="file:///notes", text="some notes")),
            EmbeddedResource(resource=BlobResourceContents(uri="file:///blob", blob="AAAA", mime_type="image/gif")),
        ]

    @server.tool(name="odd.name with spaces")
    def odd() -> str:
        return "odd"

    return server


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    make().run("stdio")
