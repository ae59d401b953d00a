"""Git workspaces over the `git` command line: see docs/workspaces.md for layout, rules and limits."""

from adapters.workspace.janitor import JanitorReport, KeptWorktree
from adapters.workspace.workspaces import GitWorkspaces

__all__ = ["GitWorkspaces", "JanitorReport", "KeptWorktree"]
