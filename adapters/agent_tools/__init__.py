"""What the built-in tools of an agent touch: files of a worktree, and what is known of models."""
