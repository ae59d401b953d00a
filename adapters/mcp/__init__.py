"""Tools of MCP servers (Model Context Protocol) that a workspace lists: commands under the sandbox, and addresses.

`boxes.py` is the entry point (it satisfies domain.agents.tools.ToolBoxes). Nothing that a server says is trusted: its
names, descriptions, schemas, results and errors are checked and capped here, and it never holds a phase.
"""
