"""What the built-in tools of an agent touch: the files of a worktree."""
